from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import Check, Metric, NavigationEntry, PlatformApp


class AnalysisConfig(PlatformApp):
    name = "cad_platform.analysis"
    label = "analysis"
    navigation = (NavigationEntry("jobs", _("Jobs"), "job.view_all", position=30),)
    audit_actions = {
        "job.bulk_cancel": _("Had many analyses cancelled"),
        "job.bulk_retry": _("Had many failed analyses tried again"),
        "job.cancel": _("Analysis cancelled"),
        "job.cancel_asked": _("Had an analysis cancelled"),
        "job.decline": _("Not analysed: the study does not fit the model"),
        "job.fail": _("Analysis failed"),
        "job.request": _("Analysis requested"),
        "job.retry": _("Asked for another try"),
        "job.succeed": _("Analysis succeeded"),
        "model.compare": _("Had two model versions compared"),
        "truth.record": _("Said what is true of known studies"),
        "study.reanalyse": _("Had the study analysed again"),
        "study.reanalyse_set": _("Had a set of studies analysed again"),
        "study.stop_reanalysis": _("Stopped analysing a set again"),
    }

    def redundant_probes(self) -> Mapping[str, Check]:
        from cad_platform.analysis import backlog

        return backlog.checks()

    def metrics(self) -> Iterable[Metric]:
        from cad_platform.analysis import backlog

        return backlog.metrics()

    def ready(self) -> None:
        from cad_platform.analysis import worker  # noqa: F401  (connects to Celery's signals)
        from cad_platform.analysis.bulk import BULK_TOPIC
        from cad_platform.analysis.transitions import ENDED_TOPIC, REQUESTED_TOPIC, SET_TOPIC, SHADOW_TOPIC
        from cad_platform.core import outbox
        from cad_platform.core.queues import CALL_TASK, NEWS_TASK, SHADOW_TASK
        from cad_platform.registry.routing import ROUTED_TOPIC

        outbox.subscribe("study.complete", NEWS_TASK)
        outbox.subscribe(ENDED_TOPIC, "analysis.ask_shadows")
        outbox.subscribe(SHADOW_TOPIC, SHADOW_TASK)
        outbox.subscribe("model.compare", "analysis.compare")
        outbox.subscribe(REQUESTED_TOPIC, CALL_TASK)
        outbox.subscribe(ROUTED_TOPIC, "analysis.replace_unrouted")
        outbox.subscribe(SET_TOPIC, "analysis.go_on")
        outbox.subscribe(BULK_TOPIC, "analysis.act")
