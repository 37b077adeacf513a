"""What the report editor is told as JSON, refusals included, and its words."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from pydantic import Field

from cad_platform.core.answers import Answer
from cad_platform.core.errors import PlatformError
from cad_platform.core.problem_details import Problem, ProblemField, as_problem
from cad_platform.reporting.consistency.case import Case, PlaceKind
from cad_platform.reporting.consistency.rule import Contradiction, Severity
from cad_platform.reporting.consistency.wording import place_label, sentence
from cad_platform.reporting.drafts import StaleRevision
from cad_platform.reporting.shown import Shown


class ContradictionPlace(Answer):
    """Where one half of a contradiction stands, for the page to highlight."""

    kind: PlaceKind
    name: str = Field(
        description="Of a field; the id of a finding, image or result; the number of a line without a finding"
    )
    label: str


class ReportContradiction(Answer):
    """In what a report contradicts itself or its case."""

    key: str = Field(description="Of this one; a reason to sign nonetheless is given for it")
    rule: str
    severity: Severity
    may_be_overridden: bool = Field(description="Whether a reason, which is printed, lets it be signed")
    sentence: str
    places: list[ContradictionPlace]


def contradictions_as_told(
    found: Iterable[Contradiction], case: Case, kind: str
) -> list[ReportContradiction]:
    """In the reader's language. `kind` is that of the draft's content."""
    return [
        ReportContradiction(
            key=each.key,
            rule=each.rule.id,
            severity=each.rule.severity,
            may_be_overridden=each.rule.may_be_overridden,
            sentence=sentence(each, kind),
            places=[
                ContradictionPlace(kind=place.kind, name=place.name, label=place_label(place, case, kind))
                for place in each.found.places
            ],
        )
        for each in found
    ]


class ShownCategory(Answer):
    of: str
    category: str
    words: str
    before: str = Field("", description="What stood before the addendum")


class ShownToSigner(Answer):
    """What the dialog shows above the password."""

    patient: list[tuple[str, str]]
    study: list[tuple[str, str]]
    categories: list[ShownCategory]
    facts: list[tuple[str, str]]
    recommendation: str


def shown_to_signer(shown: Shown) -> ShownToSigner:
    """As the dialog shows it."""
    return ShownToSigner(
        patient=[(name, value) for name, value in shown.patient],
        study=[(name, value) for name, value in shown.study],
        categories=[
            ShownCategory(of=each.of, category=each.category, words=each.words, before=each.before)
            for each in shown.categories
        ],
        facts=[(name, value) for name, value in shown.facts],
        recommendation=shown.recommendation,
    )


class DraftSaved(Answer):
    revision: int
    saved_at: datetime
    lines: list[uuid.UUID | None]
    """The finding of each line that was kept, none for a line in the writer's own words."""
    chosen_theirs: list[str]
    """The labels of fields in which joining two versions kept the other writer's choice."""
    contradictions: list[ReportContradiction]
    looked_at: datetime
    """When the case was read that the contradictions are found in."""


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
    contradictions: list[ReportContradiction]
    shown: ShownToSigner
    digest: str = Field(description="Of what is shown: the signature names it")
    looked_at: datetime


class ReportSigned(Answer):
    content_hash: str
    signed_at: datetime
    before: bool = Field(description="An earlier request of this key had signed; its answer got lost")


class StaleDraft(Problem):
    """Somebody saved in between."""

    writer: str
    saved_at: datetime


class ReportWords(Answer):
    """The editor's words, so that all translations live in one catalogue. `{name}` is filled in by the editor."""

    failed: str
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
    text_of_report: str
    text_put_in: str
    """With `{time}`."""
    text_found: str
    """With `{time}`."""
    put_in: str
    throw_away: str
    not_signed_yet: str
    signed_once_saved: str
    grade: str
    stop: str
    warning: str
    show: str
    looked_at: str
    reason: str
    reason_again: str
    """With `{time}`."""
    reason_earlier: str
    """With `{text}`."""
    text_of_reasons: str
    recommendation: str
    signed_before: str
    signed_lost: str
    sign_unsure: str
    found: str
    must_mend: str


def report_words() -> ReportWords:
    """In the reader's language."""
    return ReportWords(
        failed=_("The server did not answer. Please try again."),
        saving=_("Saving…"),
        saved=_("Saved"),
        unsaved=_("Not saved yet"),
        retrying=_("Kept here: the server does not answer. It is sent by itself."),
        refused=_("Not saved: please look at the marked fields."),
        conflict=_("{writer} saved this report at {time}, after you opened it."),
        newer=_("{writer} saved a newer version at {time}."),
        joined=_(
            "Both versions were joined. Please look at these fields, where the saved choice was kept: {fields}"
        ),
        incomplete=_("Before signing, please complete:"),
        signing=_("Signing…"),
        text_of_report=_("text of the report"),
        text_put_in=_("Text of {time} that had not been sent is in the report again."),
        text_found=_("Text of {time} was not sent, and the report has changed since:"),
        put_in=_("Put it in beside what is there"),
        throw_away=_("Throw it away"),
        not_signed_yet=_("It cannot be signed yet: not all that you wrote is with the server."),
        signed_once_saved=_("Not all that you wrote is with the server yet. The dialog opens once it is."),
        grade=_("Grade {grade} ({total} of 9)"),
        stop=_("Contradiction"),
        warning=_("Please note"),
        show=_("Show: {place}"),
        looked_at=_("I have looked at it"),
        reason=_("Why it is right nonetheless (printed in the report)"),
        reason_again=_("You typed this at {time}; it was not sent."),
        reason_earlier=_("For another contradiction of this kind you had typed: {text}"),
        text_of_reasons=_("reasons for signing"),
        recommendation=_("Recommendation"),
        signed_before=_("The report had been signed already. Nothing was signed twice."),
        signed_lost=_("The report is signed; only the server's answer had got lost."),
        sign_unsure=_(
            "The server does not answer, so it is not known yet whether the report is signed. It is asked as soon as "
            "it answers; if you sign again, nothing is signed twice."
        ),
        found=_("Contradictions: {stops} · to note: {warnings}"),
        must_mend=_("Put this right before you sign. No reason takes its place."),
    )


def refusal(problem: PlatformError, request_id: str | None) -> dict[str, Any]:
    """Problem details (RFC 9457); of a stale revision also who saved, and when."""
    details = as_problem(problem, request_id)
    if isinstance(problem, StaleRevision):
        return StaleDraft(**details, writer=problem.writer, saved_at=problem.saved_at).as_json()
    return details
