"""Signing a report. The PDF is made before anything is locked; then, under the lock that every writer of the case
takes, what was typeset must still be what stands, word for word. If it is not, the signer is told what changed and
nothing is signed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Role
from cad_platform.accounts.reauthentication import reauthenticate
from cad_platform.accounts.rules import require
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid
from cad_platform.core.punctuation import clauses
from cad_platform.core.request_keys import done_before, one_of_its_key
from cad_platform.patients.services import lock_patient
from cad_platform.reading.report_standing import report_signed
from cad_platform.registry.manifest_words import manifest_words
from cad_platform.reporting import amendments, key_images
from cad_platform.reporting import content as contents
from cad_platform.reporting.ai_summary import summary_of, with_current_lines
from cad_platform.reporting.consistency.engine import contradictions, unanswered
from cad_platform.reporting.consistency.rule import Contradiction
from cad_platform.reporting.consistency.snapshot import case_of
from cad_platform.reporting.consistency.wording import sentence
from cad_platform.reporting.content import StudyContent, profile_of
from cad_platform.reporting.document import document_of
from cad_platform.reporting.drafts import (
    StaleRevision,
    draft,
    lock_draft,
    record_of,
    refuse_unreportable,
)
from cad_platform.reporting.meanings import meaning_of
from cad_platform.reporting.models import DraftPresence, Report, Signature
from cad_platform.reporting.particulars import particulars_of
from cad_platform.reporting.record import canonical_record, content_hash, hash_matches
from cad_platform.reporting.shown import digest_of
from cad_platform.reporting.typesetting import typeset
from cad_platform.studies import storage
from cad_platform.studies.typed_text import cleaned

#: What becomes part of the signed record reads the same whatever language its signer works in.
_RECORD_LANGUAGE = "en"


@dataclass(frozen=True)
class _PreparedReport:
    """What a signer puts a name under: the report filled in, its signature, and everything that is printed."""

    report: Report
    signature: Signature
    document: dict[str, Any]
    drawn: Mapping[key_images.Wanted, key_images.Drawn]


@dataclass(frozen=True)
class _Seen:
    """What the signer says to have seen, and answers for."""

    revision: int
    shown: str | None
    reasons: Mapping[str, str]
    looked_at: datetime | None
    request_key: uuid.UUID | None = None


class SignedBefore(Conflict):
    """This very request had signed when it came first; its answer got lost. Nothing is signed twice."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        super().__init__(_("The report is signed."), code="signed")


def sign(
    actor: Actor,
    report_id: uuid.UUID,
    *,
    password: str,
    revision: int,
    shown: str | None = None,
    reasons: Mapping[str, str] | None = None,
    looked_at: datetime | None = None,
    request_key: uuid.UUID | None = None,
) -> Signature:
    """Sign a draft: the password is asked again, the content must be complete, contradict nothing, and be what the
    signer saw.

    The record is hashed, the PDF made and both frozen with the signature in one transaction.

    Parameters
    ----------
    revision
        The one that the signer saw.
    shown
        The digest of what the dialog showed (`shown.digest_of`); None where nothing was shown to anybody.
    reasons
        Contradiction's key → why it is right nonetheless; printed in the report.
    looked_at
        When the signer last looked at the report together with its case; by default when it was last saved.
    request_key
        Names the request: what comes twice signs once, and the second is told so.

    Raises
    ------
    NotPermitted, TooManyRequests
        The role or the password; too many wrong ones.
    SignedBefore
        A request of the same key signed; the exception brings its signature.
    KeyReused
        Another signature has the key.
    StaleRevision
        Somebody has saved since.
    Invalid
        The report is not complete; the fields are named.
    Conflict
        It contradicts itself or its case (`contradiction`, `side_unconfirmed`); the errors say how. Or something of
        the case changed: since the report was saved (`findings_changed`), since it was shown (`shown_changed`), or
        while it was being signed (`case_changed`). The sentence says what.
    Unavailable
        The PDF could not be made or stored.
    """
    seen = _Seen(
        revision,
        shown,
        {key: reason.strip() for key, reason in (reasons or {}).items()},
        looked_at,
        request_key,
    )
    try:
        return _sign(actor, report_id, password, seen)
    except Conflict:
        # Signed already, maybe by this very request.
        if (signature := _signed_before(actor, report_id, request_key)) is None:
            raise
        raise SignedBefore(signature) from None


def _signed_before(actor: Actor, report_id: uuid.UUID, key: uuid.UUID | None) -> Signature | None:
    signatures = Signature.objects.select_related("report__study")
    signature = done_before(signatures, key, report_id=report_id, signer_id=actor.user.pk)
    if signature is not None:
        require(actor, "report.sign", signature.report.study)
    return signature


def _sign(actor: Actor, report_id: uuid.UUID, password: str, seen: _Seen) -> Signature:
    report = draft(actor, report_id, "report.sign")
    reauthenticate(
        actor, password, purpose="report.sign", object_type="report", object_id=report.pk, study=report.study
    )
    prepared = _prepared_report(actor, draft(actor, report_id, "report.sign"), seen)
    signed_at = prepared.signature.signed_at
    pdf = typeset(prepared.document, created=signed_at, images=key_images.files_of(prepared.drawn))
    # The file first: no transaction is open while bytes travel.
    stored = storage.store_bytes(pdf, "application/pdf")
    with transaction.atomic():
        report = lock_draft(actor, report_id, "report.sign")
        # Printed, though no part of the record: nobody corrects the patient between this look and the commit.
        report.study.patient = lock_patient(report.study.patient_id)
        standing = _prepared_report(actor, report, seen, prepared)
        if standing.document != prepared.document:
            raise Conflict(_changed(prepared, standing), code="case_changed")
        with one_of_its_key():
            return _freeze(actor, standing, stored)


def _prepared_report(
    actor: Actor, report: Report, seen: _Seen, before: _PreparedReport | None = None
) -> _PreparedReport:
    """What would be signed of this draft as its case stands now: with key images drawn now and the time of now, or with
    those of `before`."""
    refuse_unreportable(report.study)
    if report.revision != seen.revision:
        raise StaleRevision(report)
    content = contents.parse(report.content)
    if missing := amendments.problems(report, content):
        raise Invalid(_("The report is not complete."), errors=missing, code="incomplete")
    if with_current_lines(content, report.study) != content:
        raise Conflict(
            _("Findings were decided since the report was saved. Look at them once more, then sign."),
            code="findings_changed",
        )
    signer, meaning = actor.user, meaning_of(report)
    report.ai_summary = summary_of(report.study)
    report.overrides = _overrides(report, content, seen)
    pictures = key_images.wanted(report.ai_summary, report.study) if isinstance(content, StudyContent) else []
    drawn = key_images.drawn(pictures) if before is None else before.drawn
    report.particulars = particulars_of(report.study) | {
        "key_images": key_images.as_particulars(pictures, drawn)
    }
    # After the results were read: what ends later than the signature stands in no record of it.
    signed_at = before.signature.signed_at if before else timezone.now()
    digest = content_hash(
        canonical_record(
            report,
            signer=signer,
            printed_name=signer.printed_name,
            role=actor.role,
            meaning=meaning,
            signed_at=signed_at,
        )
    )
    signature = Signature(
        report=report,
        signer=signer,
        printed_name=signer.printed_name,
        role=actor.role,
        meaning=meaning,
        signed_at=signed_at,
        content_hash=digest,
        request_key=seen.request_key,
    )
    return _PreparedReport(report, signature, document_of(report, signature), drawn)


def _overrides(report: Report, content: contents.ReportContent, seen: _Seen) -> list[dict[str, Any]]:
    """The contradictions that are signed under, as the record keeps them. Raises where one stands in the way."""
    case = case_of(report, content, report.ai_summary, looked_at=seen.looked_at)
    found = contradictions(case)
    if stopped := unanswered(found, seen.reasons):
        side = next((each for each in stopped if each.rule.id == "side_unconfirmed"), None)
        raise Conflict(
            sentence(side, content.kind) if side else _("The report contradicts itself or its case."),
            errors=tuple(FieldError(sentence(each, content.kind), _field(each)) for each in stopped),
            code="side_unconfirmed" if side else "contradiction",
        )
    if seen.shown is not None and seen.shown != digest_of(report, case, found):
        raise Conflict(
            _("The patient, the study or the report changed since you were shown it. Look at it once more."),
            code="shown_changed",
        )
    with translation.override(_RECORD_LANGUAGE):
        return [
            {
                "key": each.key,
                "rule": each.rule.id,
                "values": dict(each.found.values),
                "sentence": sentence(each, content.kind),
                "reason": cleaned(seen.reasons[each.key])[: contents.LINE_LENGTH],
            }
            for each in found
            if each.stops
        ]


def _field(contradiction: Contradiction) -> str:
    return next((place.name for place in contradiction.found.places if place.kind == "field"), "")


def _freeze(actor: Actor, prepared: _PreparedReport, pdf: Any) -> Signature:
    report, signature = prepared.report, prepared.signature
    digest = signature.content_hash
    report.content_hash, report.state = digest, Report.State.SIGNED
    report.updated_by, report.updated_at = signature.signer, signature.signed_at
    report.pdf = pdf
    report.save()
    signature.save(force_insert=True)
    # What cannot be recomputed from the database would be a signature over nothing.
    stored = Report.objects.select_related("study", "amends").get(pk=report.pk)
    if not hash_matches(stored, Signature.objects.get(pk=report.pk)):
        raise RuntimeError("the stored report does not give the signed hash")
    held = {job["id"]: job["state"] for job in report.ai_summary["jobs"]}
    report_signed(
        report.study,
        signature.signed_at,
        held,
        category=amendments.conclusion_with(report)
        if profile_of(report.study.modality).has_assessment
        else "",
        is_amended=report.amends_id is not None,
    )
    DraftPresence.objects.filter(report=report).delete()
    record_of(
        actor,
        "report.sign",
        report,
        content_hash=digest,
        kind=report.kind,
        role=Role(actor.role).value,
        overrides=[{"rule": each["rule"], "reason": each["reason"]} for each in report.overrides],
    )
    outbox.publish("report.signed", report_id=str(report.pk))
    return signature


def _changed(typeset: _PreparedReport, standing: _PreparedReport) -> str:
    """What changed in the case while the PDF was made, as a sentence."""
    before, after = typeset.report.ai_summary, standing.report.ai_summary
    known = {finding["id"]: finding for finding in before["findings"]}
    changes = []
    for finding in after["findings"]:
        earlier = known.pop(finding["id"], None)
        if earlier is None:
            changes.append(_("finding %(number)s is new") % {"number": finding["number"]})
        elif earlier["decision"] != finding["decision"]:
            reader = (finding["decision"] or earlier["decision"])["reader"]
            changes.append(
                _("finding %(number)s was decided by %(reader)s")
                % {"number": finding["number"], "reader": reader}
            )
    changes += [
        _("finding %(number)s no longer counts") % {"number": finding["number"]} for finding in known.values()
    ]
    states = {job["id"]: job["state"] for job in before["jobs"]}
    changes += [
        _("the analysis by %(model)s changed") % {"model": manifest_words(job["title"])}
        for job in after["jobs"]
        if states.get(job["id"]) != job["state"]
    ]
    what = clauses(changes) or _("the patient's or the study's details changed")
    return _(
        "Something changed while the report was being signed: %(what)s. Nothing was signed; look at it once more."
    ) % {"what": what}
