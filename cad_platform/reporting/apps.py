from django.apps import AppConfig


class ReportingConfig(AppConfig):
    name = "cad_platform.reporting"
    label = "reporting"

    def ready(self) -> None:
        # Each registers its kind of report.
        from cad_platform.reporting.kinds import addendum, histopathology, imaging  # noqa: F401
