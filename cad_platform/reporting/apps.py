from cad_platform.core.declarations import PlatformApp


class ReportingConfig(PlatformApp):
    name = "cad_platform.reporting"
    label = "reporting"

    def ready(self) -> None:
        # Each registers its kind of report.
        from cad_platform.reporting.kinds import addendum, histopathology, imaging  # noqa: F401
