from django.apps import AppConfig


class AnalysisConfig(AppConfig):
    name = "cad_platform.analysis"
    label = "analysis"

    def ready(self) -> None:
        from cad_platform.analysis import worker  # noqa: F401  (connects to Celery's signals)
        from cad_platform.core import outbox

        outbox.subscribe("study.complete", "analysis.study_complete")
        outbox.subscribe("analysis.requested", "analysis.run")
