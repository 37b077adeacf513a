from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import MODELS, Metric, NavigationEntry, PlatformApp


class QualityConfig(PlatformApp):
    name = "cad_platform.quality"
    label = "quality"
    navigation = (
        NavigationEntry("acceptances", _("Acceptance"), "model.view", position=46, group=MODELS),
        NavigationEntry(
            "reader-studies", _("Reader studies"), "reader_study.manage", position=49, group=MODELS
        ),
        NavigationEntry("quality", _("Watching"), "quality.view", position=47, group=MODELS),
    )
    audit_actions = {
        "acceptance.ask": _("Asked for a version to be measured on known cases"),
        "acceptance.end": _("A measurement on known cases ended"),
        "acceptance.list_known": _("Looked at a site's known studies"),
        "acceptance.sign": _("Signed the verdict of a measurement"),
        "alert.acknowledge": _("Acknowledged an alert"),
        "alert.change_rule": _("Changed an alert's rule"),
        "alert.raise": _("An alert was raised"),
        "reader_study.make": _("Analysed a reader study"),
        "reader_study.download": _("Downloaded the report of a reader study"),
    }

    def metrics(self) -> Iterable[Metric]:
        from cad_platform.quality import exposition

        return exposition.metrics()

    def ready(self) -> None:
        from cad_platform.core import outbox
        from cad_platform.core.queues import ACCEPTANCE_TASK

        outbox.subscribe("analysis.ended", "quality.analysis_ended")
        outbox.subscribe("report.signed", "quality.report_signed")
        outbox.subscribe("study.corrected", "quality.study_corrected")
        outbox.subscribe("acceptance.asked", ACCEPTANCE_TASK)
