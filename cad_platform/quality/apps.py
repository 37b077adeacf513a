from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import MODELS, Metric, NavigationEntry, PlatformApp


class QualityConfig(PlatformApp):
    name = "cad_platform.quality"
    label = "quality"
    navigation = (NavigationEntry("quality", _("Watching"), "quality.view", position=47, group=MODELS),)
    audit_actions = {
        "alert.acknowledge": _("Acknowledged an alert"),
        "alert.change_rule": _("Changed an alert's rule"),
        "alert.raise": _("An alert was raised"),
    }

    def metrics(self) -> Iterable[Metric]:
        from cad_platform.quality import exposition

        return exposition.metrics()

    def ready(self) -> None:
        from cad_platform.core import outbox

        outbox.subscribe("analysis.ended", "quality.analysis_ended")
        outbox.subscribe("report.signed", "quality.report_signed")
        outbox.subscribe("study.corrected", "quality.study_corrected")
