from django.utils.translation import gettext_lazy as _

from cad_platform.core.declarations import PlatformApp


class ReportingConfig(PlatformApp):
    name = "cad_platform.reporting"
    label = "reporting"
    audit_actions = {
        "report.discard": _("Discarded the draft"),
        "report.open": _("Began a report"),
        "report.pdf": _("Read the PDF"),
        "report.save_draft": _("Saved the draft"),
        "report.sign": _("Signed"),
        "report.view": _("Read the report"),
        "study.trail": _("Looked at the audit trail"),
    }
    audit_attempts = {"report.sign": _("Tried to sign")}

    def ready(self) -> None:
        # Each registers its kind of report.
        from cad_platform.reporting.kinds import addendum, histopathology, imaging  # noqa: F401
