"""Two records of one patient become one, and two again where that was wrong (ADR 57).

Every study of the record that goes is moved to the one that stays, with its images, findings and reports as they are:
none is written anew, and a signed report says what was signed. What is sent under the old id belongs to the record
that stays. A merge is taken back with the record of what it moved, the latest first.

The order of locks is that of a post: the names' turns, studies, reviews, patients.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.patients.services import issuers_at, whose_it_is
from cad_platform.records import selectors
from cad_platform.records.models import ErasureRequest, PatientMerge
from cad_platform.records.reasons import reason_given
from cad_platform.reporting.models import Report
from cad_platform.studies import corrections, turns
from cad_platform.studies.models import Study
from cad_platform.studies.services import lock_study


@dataclass(frozen=True)
class Side:
    """One of two records, with what hangs on it."""

    patient: Patient
    issuer: str
    studies: int
    signed: int
    also: tuple[str, ...]
    """Ids of records that were merged into it before."""


@dataclass(frozen=True)
class Comparison:
    """Two records beside each other; `differing` are the fields in which they say something else."""

    kept: Side
    gone: Side
    differing: frozenset[str]


def find(actor: Actor, patient_id: str, issuer: str = "") -> Patient:
    """The record that goes by an id at the actor's site; of a merged one the record itself.

    Raises
    ------
    NotFound
        There is none at the site.
    Invalid
        Several go by this id, and nothing says which is meant: none is taken for another.
    NotPermitted
        The role may not merge.
    """
    require(actor, "patient.merge")
    assert actor.site_id is not None
    said, site = issuer.replace("\0", "").strip(), Site.objects.get(pk=actor.site_id)
    known = Patient.objects.select_related("site").filter(
        site=site, patient_id=patient_id.strip().replace("\0", "")
    )
    # The site's code says that an id is the site's own, given by no issuer.
    own = said.casefold() == site.code.casefold()
    exact = "" if own else said
    found = list(known.filter(issuer__in=issuers_at(site.pk, exact)) if said else known)
    if len(found) > 1 and said:
        found = [each for each in found if each.issuer.casefold() == exact.casefold()]
    if len(found) > 1:
        asked = whose_it_is(site.pk, (each.issuer for each in found))
        raise Invalid(_("This id alone does not say which patient is meant."), errors=(asked,))
    if not found:
        raise NotFound(_("There is no patient with this id at your site."))
    return found[0]


def record_by_id(actor: Actor, patient: uuid.UUID) -> Patient:
    """The record with this id of the database's. Raises `NotFound` or `NotPermitted`."""
    found = Patient.objects.select_related("site").filter(pk=patient).first()
    if found is None:
        raise NotFound(_("There is no patient with this id at your site."))
    require(actor, "patient.merge", found)
    return found


@transaction.atomic
def open_merges(actor: Actor, *, page: str | None, size: int) -> Page[PatientMerge]:
    """A page of the merges of the actor's site, with the fact that it was looked at. Raises `NotPermitted`."""
    shown = Paginator(selectors.merges(actor), size).get_page(page)
    record(actor, "patient.list_merges", object_type="patient", shown=len(shown.object_list))
    return shown


@transaction.atomic
def open_merge(actor: Actor, merge_id: uuid.UUID) -> PatientMerge:
    """One merge, with the fact that it was looked at. Raises `NotFound` or `NotPermitted`."""
    found = selectors.merge(actor, merge_id)
    record(
        actor, "patient.view_merge", object_type="patient", object_id=found.kept_id, site_id=found.site_id,
        merge=str(found.pk),
    )  # fmt: skip
    return found


@transaction.atomic
def compare(actor: Actor, kept: Patient, gone: Patient) -> Comparison:
    """What a person looks at before two records become one; that it was looked at is recorded.

    Raises
    ------
    NotFound, NotPermitted, Conflict
        As `merge` does.
    """
    for patient in (kept, gone):
        require(actor, "patient.merge", patient)
    _check(kept, gone)
    record(
        actor, "patient.compare", object_type="patient", object_id=kept.pk, site_id=kept.site_id,
        other=str(gone.pk),
    )  # fmt: skip
    differing = {"birth_date": kept.birth_date != gone.birth_date, "sex": kept.sex != gone.sex}
    differing["name"] = bool(kept.name_groups) and not kept.name_groups.same_as(gone.name_groups)
    return Comparison(
        _side(kept), _side(gone), frozenset(name for name, differs in differing.items() if differs)
    )


def _side(patient: Patient) -> Side:
    studies = Study.objects.filter(patient=patient)
    return Side(
        patient,
        patient.other_issuer(patient.site),
        studies.count(),
        Report.objects.filter(study__in=studies, state=Report.State.SIGNED).count(),
        tuple(patient.absorbed.order_by("patient_id").values_list("patient_id", flat=True)),
    )


@transaction.atomic
def merge(actor: Actor, kept_id: uuid.UUID, gone_id: uuid.UUID, reason: str) -> PatientMerge:
    """Have the record `gone` be `kept` from now on.

    Raises
    ------
    NotFound
        One of them is not known at the actor's site.
    NotPermitted
        The role may not merge.
    Invalid
        No reason, or one that is too long.
    Conflict
        They are one already, one was merged into another meanwhile, or both are the same.
    """
    require(actor, "patient.merge")
    reason = reason_given(reason)
    kept, gone = _waited_for(actor, kept_id, gone_id)
    moved = _move(actor, _lock_studies(Study.objects.filter(patient_id=gone.pk)), kept, gone, reason)
    reviews = _lock_reviews(DemographicsReview.objects.filter(patient_id=gone.pk))
    kept, gone = _lock_patients(kept.pk, gone.pk)
    _check(kept, gone)
    if ErasureRequest.objects.filter(patient__in=[kept, gone], state__in=ErasureRequest.OPEN).exists():
        raise Conflict(_("The erasure of one of these records was asked for: that is decided first."))
    followers = list(gone.absorbed.order_by("pk").values_list("pk", flat=True))
    DemographicsReview.objects.filter(pk__in=reviews).update(patient=kept)
    _read_as(Patient.objects.filter(pk__in=[gone.pk, *followers]), kept)
    made = PatientMerge.objects.create(
        site_id=kept.site_id,
        kept=kept,
        gone=gone,
        reason=reason,
        moved={
            "studies": [str(pk) for pk in moved],
            "reviews": [str(pk) for pk in reviews],
            "records": [str(pk) for pk in followers],
        },
        by=actor.user,
    )
    record(
        actor, "patient.merge", object_type="patient", object_id=kept.pk, site_id=kept.site_id,
        other=str(gone.pk), merge=str(made.pk), studies=len(moved), reviews=len(reviews),
    )  # fmt: skip
    return made


@transaction.atomic
def undo(actor: Actor, merge_id: uuid.UUID, reason: str) -> PatientMerge:
    """Take a merge back: what it moved, and is where it was moved to, goes back. What came since stays.

    Raises
    ------
    NotFound
        There is no such merge at the actor's site.
    NotPermitted
        The role may not merge.
    Invalid
        No reason, or one that is too long.
    Conflict
        It was taken back already, or a later merge must be taken back first.
    """
    require(actor, "patient.merge")
    found = PatientMerge.objects.filter(pk=merge_id).select_related("kept", "gone").first()
    if found is None:
        raise NotFound(_("There is no such merge at your site."))
    require(actor, "patient.merge", found)
    reason = reason_given(reason)
    kept, gone = found.kept, found.gone
    _wait_for(kept, gone)
    still_there = Study.objects.filter(pk__in=found.moved["studies"], patient_id=kept.pk)
    moved = _move(actor, _lock_studies(still_there), gone, kept, reason)
    reviews = _lock_reviews(
        DemographicsReview.objects.filter(pk__in=found.moved["reviews"], patient_id=kept.pk)
    )
    kept, gone = _lock_patients(kept.pk, gone.pk)
    # As it is under the locks.
    found = PatientMerge.objects.select_for_update().get(pk=found.pk)
    if found.undone_at is not None:
        raise Conflict(_("This merge was taken back already."))
    if kept.erased_at is not None:
        raise Conflict(_("This record was erased."))
    if kept.merged_into_id is not None or gone.merged_into_id != kept.pk:
        raise Conflict(_("These records were merged further since: take the later merge back first."))
    DemographicsReview.objects.filter(pk__in=reviews).update(patient=gone)
    _read_as(Patient.objects.filter(pk=gone.pk), None)
    _read_as(Patient.objects.filter(pk__in=found.moved["records"], merged_into=kept), gone)
    found.undone_at, found.undone_by, found.undone_reason = timezone.now(), actor.user, reason
    found.save(update_fields=["undone_at", "undone_by", "undone_reason"])
    record(
        actor, "patient.unmerge", object_type="patient", object_id=kept.pk, site_id=kept.site_id,
        other=str(gone.pk), merge=str(found.pk), studies=len(moved), reviews=len(reviews),
    )  # fmt: skip
    return found


def _check(kept: Patient, gone: Patient) -> None:
    if kept.pk == gone.pk:
        raise Conflict(_("Both ids are of the same record."))
    if kept.site_id != gone.site_id:
        raise NotFound(_("There is no patient with this id at your site."))
    if gone.merged_into_id == kept.pk:
        raise Conflict(_("These records are one already."))
    if kept.erased_at is not None or gone.erased_at is not None:
        raise Conflict(_("This record was erased."))
    if kept.merged_into_id is not None or gone.merged_into_id is not None:
        raise Conflict(_("One of these records was merged into another: choose the one that it is read as."))


def _waited_for(actor: Actor, kept_id: uuid.UUID, gone_id: uuid.UUID) -> tuple[Patient, Patient]:
    """Both records, when no post of either is being taken in."""
    found = Patient.objects.in_bulk([kept_id, gone_id])
    for pk in (kept_id, gone_id):
        if pk not in found:
            raise NotFound(_("There is no patient with this id at your site."))
        require(actor, "patient.merge", found[pk])
    _wait_for(found[kept_id], found[gone_id])
    return found[kept_id], found[gone_id]


def _wait_for(*patients: Patient) -> None:
    """Until nothing of any of their ids is being taken in, and keep it so: a study that came to the record that goes
    while its studies are counted would be left there."""
    names = {each.patient_id for each in patients}
    names |= set(Patient.objects.filter(merged_into__in=patients).values_list("patient_id", flat=True))
    turns.hold(patients[0].site_id, patients=names)


def _lock_studies(rows: Iterable[Study]) -> list[Study]:
    keys = sorted(row.pk for row in rows)
    return [study for study in map(lock_study, keys) if study is not None]


def _lock_reviews(rows: Iterable[DemographicsReview]) -> list[uuid.UUID]:
    keys = [row.pk for row in rows]
    locked = DemographicsReview.objects.select_for_update().filter(pk__in=keys).order_by("pk")
    return list(locked.values_list("pk", flat=True))


def _lock_patients(kept_id: uuid.UUID, gone_id: uuid.UUID) -> tuple[Patient, Patient]:
    found = {
        each.pk: each
        for each in Patient.objects.select_for_update(of=("self",), no_key=True)
        .select_related("site")
        .filter(pk__in=[kept_id, gone_id])
        .order_by("pk")
    }
    return found[kept_id], found[gone_id]


def _move(actor: Actor, studies: Sequence[Study], to: Patient, of: Patient, reason: str) -> list[uuid.UUID]:
    """Those of them that are still where they were."""
    moved = []
    for study in studies:
        if study.patient_id == of.pk:
            corrections.moved_to_patient(actor, study, to, reason)
            moved.append(study.pk)
    return moved


def _read_as(patients: Iterable[Patient], kept: Patient | None) -> None:
    for patient in patients:
        patient.merged_into = kept
        patient.save(update_fields=["merged_into"])
