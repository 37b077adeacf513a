"""What the log's action codes are called on screen. An unknown code is shown as it is."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

ACTIONS = {
    "artefact.view": _("Looked at a heat map or outline"),
    "audit.export": _("Exported the audit log"),
    "audit.view": _("Looked at the audit log"),
    "backup.create": _("Made a backup"),
    "finding.add": _("Drew a finding"),
    "finding.decide": _("Decided on a finding"),
    "image.view": _("Looked at an image"),
    "job.finish": _("Analysis ended"),
    "job.request": _("Analysis requested"),
    "job.retry": _("Asked for another try"),
    "model.make_default": _("Changed the default model"),
    "model.register": _("Registered a model"),
    "patient.decide_review": _("Decided on differing demographics"),
    "patient.list_reviews": _("Looked at differing demographics"),
    "report.discard": _("Discarded the draft"),
    "report.open": _("Began a report"),
    "report.pdf": _("Read the PDF"),
    "report.save_draft": _("Saved the draft"),
    "report.sign": _("Signed"),
    "report.view": _("Read the report"),
    "site.create": _("Created a site"),
    "study.list": _("Looked at the worklist"),
    "study.receive": _("Received the study"),
    "study.search": _("Searched for studies"),
    "study.trail": _("Looked at the audit trail"),
    "study.view": _("Opened the case"),
    "study.withdraw": _("Withdrew the study"),
    "token.issue": _("Issued a token"),
    "token.revoke": _("Revoked a token"),
    "user.activate": _("Activated a user"),
    "user.create": _("Created a user"),
    "user.deactivate": _("Deactivated a user"),
    "user.set_password": _("Set a password"),
    "user.sign_in": _("Signed in"),
    "user.sign_out": _("Signed out"),
    "user.unlock": _("Unlocked a user"),
    "user.update": _("Changed a user"),
}

OUTCOMES = {
    "success": _("done"),
    "failure": _("failed"),
    "refused": _("refused"),
    "wrong_password": _("wrong password"),
    "locked": _("locked after wrong passwords"),
}


def action_words(action: str) -> str:
    return str(ACTIONS.get(action, action))


def outcome_words(outcome: str) -> str:
    return str(OUTCOMES.get(outcome, outcome))
