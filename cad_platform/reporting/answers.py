"""What the report editor is told as JSON, refusals included, and its words."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from cad_platform.core.answers import Answer
from cad_platform.core.errors import PlatformError
from cad_platform.core.problem_details import Problem, ProblemField, as_problem
from cad_platform.reporting.drafts import StaleRevision


class DraftSaved(Answer):
    revision: int
    saved_at: datetime
    lines: list[uuid.UUID | None]
    """The finding of each line that was kept, none for a line in the writer's own words."""
    chosen_theirs: list[str]
    """The labels of fields in which joining two versions kept the other writer's choice."""


class DraftPresence(Answer):
    revision: int
    saved_key: uuid.UUID | None
    """Names the request that made this revision: a writer knows the own one whose answer got lost."""
    saved_at: datetime
    saved_by: str
    notice: str
    """Who else is writing, as a sentence; empty when nobody is."""


class SigningReadiness(Answer):
    revision: int
    errors: list[ProblemField]
    warnings: list[str]


class ReportSigned(Answer):
    content_hash: str
    signed_at: datetime


class StaleDraft(Problem):
    """Somebody saved in between."""

    writer: str
    saved_at: datetime


class ReportWords(Answer):
    """The editor's words, so that all translations live in one catalogue. `{name}` is filled in by the editor."""

    failed: str
    signed_out: str
    saving: str
    saved: str
    unsaved: str
    retrying: str
    refused: str
    conflict: str
    newer: str
    joined: str
    incomplete: str
    signing: str
    grade: str


def report_words() -> ReportWords:
    """In the reader's language."""
    return ReportWords(
        failed=_("The server did not answer. Please try again."),
        signed_out=_("You are signed out. Sign in again in another window; what you wrote stays here."),
        saving=_("Saving…"),
        saved=_("Saved"),
        unsaved=_("Not saved yet"),
        retrying=_("Not saved: the server does not answer. Trying again…"),
        refused=_("Not saved: please look at the marked fields."),
        conflict=_("{writer} saved this report at {time}, after you opened it."),
        newer=_("{writer} saved a newer version at {time}."),
        joined=_(
            "Both versions were joined. Please look at these fields, where the saved choice was kept: {fields}"
        ),
        incomplete=_("Before signing, please complete:"),
        signing=_("Signing…"),
        grade=_("Grade {grade} ({total} of 9)"),
    )


def refusal(problem: PlatformError, request_id: str | None) -> dict[str, Any]:
    """Problem details (RFC 9457); of a stale revision also who saved, and when."""
    details = as_problem(problem, request_id)
    if isinstance(problem, StaleRevision):
        return StaleDraft(**details, writer=problem.writer, saved_at=problem.saved_at).as_json()
    return details
