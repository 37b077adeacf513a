from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import NavigationEntry, PlatformApp


class AnalysisConfig(PlatformApp):
    name = "cad_platform.analysis"
    label = "analysis"
    navigation = (NavigationEntry("jobs", _("Jobs"), "job.view_all", position=30),)

    def ready(self) -> None:
        from cad_platform.analysis import worker  # noqa: F401  (connects to Celery's signals)
        from cad_platform.analysis.transitions import SET_TOPIC
        from cad_platform.core import outbox
        from cad_platform.registry.routing import ROUTED_TOPIC

        outbox.subscribe("study.complete", "analysis.study_complete")
        outbox.subscribe("analysis.requested", "analysis.run")
        outbox.subscribe(ROUTED_TOPIC, "analysis.replace_unrouted")
        outbox.subscribe(SET_TOPIC, "analysis.go_on")
