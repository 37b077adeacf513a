"""What the log's action codes are called on screen. An unknown code is shown as it is."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

ACTIONS = {
    "artefact.view": _("Looked at a heat map or outline"),
    "audit.export": _("Exported the audit log"),
    "audit.view": _("Looked at the audit log"),
    "backup.create": _("Made a backup"),
    "backup.restore": _("Restored a backup"),
    "finding.add": _("Drew a finding"),
    "finding.decide": _("Decided on a finding"),
    "image.download": _("Downloaded an image file"),
    "image.view": _("Looked at an image"),
    "job.cancel": _("Analysis cancelled"),
    "job.decline": _("Not analysed: the study does not fit the model"),
    "job.fail": _("Analysis failed"),
    "job.request": _("Analysis requested"),
    "job.retry": _("Asked for another try"),
    "job.succeed": _("Analysis succeeded"),
    "model.describe": _("Corrected a model's card or figures"),
    "model.make_default": _("Changed the default model"),
    "model.register": _("Registered a model"),
    "patient.create": _("Met a new patient"),
    "patient.list_reviews": _("Looked at differing demographics"),
    "patient.update": _("Completed a patient's demographics"),
    "report.discard": _("Discarded the draft"),
    "report.open": _("Began a report"),
    "report.pdf": _("Read the PDF"),
    "report.save_draft": _("Saved the draft"),
    "report.sign": _("Signed"),
    "report.view": _("Read the report"),
    "review.decide": _("Decided on differing demographics"),
    "review.open": _("Found differing demographics"),
    "site.create": _("Created a site"),
    "study.list": _("Looked at the worklist"),
    "study.quarantine": _("Set a file of the study aside"),
    "study.reanalyse": _("Had the study analysed again"),
    "study.reanalyse_set": _("Had a set of studies analysed again"),
    "study.receive": _("Received the study"),
    "study.receive_again": _("Received the same study again"),
    "study.results": _("Was shown a result that arrived"),
    "study.search": _("Searched for studies"),
    "study.stop_reanalysis": _("Stopped analysing a set again"),
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


#: What was only tried has not happened, and must not read as if it had.
ATTEMPTS = {
    "report.sign": _("Tried to sign"),
    "user.sign_in": _("Tried to sign in"),
}


def action_words(action: str, outcome: str = "success") -> str:
    if outcome != "success" and action in ATTEMPTS:
        return str(ATTEMPTS[action])
    return str(ACTIONS.get(action, action))


def outcome_words(outcome: str) -> str:
    return str(OUTCOMES.get(outcome, outcome))


def actor_words(label: str) -> str:
    """A person's name as it is; a process of the platform by what it does."""
    if not label.startswith("system:"):
        return label
    return str(_("The platform (%(process)s)") % {"process": label.removeprefix("system:")})
