"""What may happen to patients: they come with studies, and a person decides where demographics differ."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from django.core.paginator import Page, Paginator
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core import rows
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, NotFound
from cad_platform.core.punctuation import listed
from cad_platform.patients import selectors
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.patients.person_name import groups_of


@dataclass(frozen=True)
class Demographics:
    """What a study says of its patient. An empty value means that it says nothing."""

    name: str = ""
    birth_date: date | None = None
    sex: str = ""
    #: Who gave the patient id, as it was sent; the site itself where it is empty.
    issuer: str = ""
    #: What was sent in place of a date of birth.
    birth_date_sent: str = ""

    def as_json(self, field: str) -> str:
        value = getattr(self, field)
        return value.isoformat() if isinstance(value, date) else str(value or "")


def issuers_at(site_id: int, sent: str) -> tuple[str, ...]:
    """The issuers that `sent` (or nothing sent) means at a site, as patients are stored with them, the first for a new
    one. The site itself goes by no name and by its own."""
    return _issuers(Site.objects.values_list("default_issuer", flat=True).get(pk=site_id), sent)


def _issuers(own: str, sent: str) -> tuple[str, ...]:
    if sent.strip().casefold() in {"", own.casefold()}:
        return ("", own) if own else ("",)
    return (sent.strip(),)


def whose_it_is(site_id: int, issuers: Iterable[str]) -> FieldError:
    """What a person is asked where several records of a site go by one id: which of their issuers is meant. Records
    without one are named by the site's code where the site has a name of its own for others."""
    site = Site.objects.get(pk=site_id)
    given = set(issuers)
    own = site.code if site.default_issuer in given else site.default_issuer or site.code
    names = sorted(each or own for each in given)
    why = _("Several patients have this id: say whose it is (%(issuers)s).") % {"issuers": listed(names)}
    return FieldError(why, "issuer")


def lock_patient(patient_id: uuid.UUID | None) -> Patient | None:
    """The patient as known now, whose demographics stay so until the transaction ends; None where there is none. After
    the study's lock, never before it."""
    if patient_id is None:
        return None
    return Patient.objects.select_for_update(no_key=True).filter(pk=patient_id).first()


def receive_patient(
    actor: Actor, site_id: int, patient_id: str, reported: Demographics, study_instance_uid: str
) -> Patient:
    """The patient with this id at the site, made where unknown. Call in the transaction of its study, which holds the
    patient's turn (`studies.turns`): nobody else makes the same one meanwhile.

    What was unknown is filled in. What differs is not taken over: it goes to the review list.
    """
    own_site = actor.user.site if actor.site_id == site_id else None
    issuers = (
        _issuers(own_site.default_issuer, reported.issuer)
        if own_site
        else issuers_at(site_id, reported.issuer)
    )
    patient = _standing(site_id, patient_id, issuers)
    if patient is None:
        patient = _new(site_id, issuers[0], patient_id, reported)
        rows.insert(patient)
        record(actor, "patient.create", object_type="patient", object_id=patient.pk, site_id=site_id)
        return patient
    filled, differing = _filled(patient, reported)
    if filled:
        patient.save(update_fields=_columns(filled))
        record(
            actor,
            "patient.update",
            object_type="patient",
            object_id=patient.pk,
            site_id=site_id,
            fields=filled,
        )
    if differing:
        _ask_for_review(actor, patient, differing, study_instance_uid)
    return patient


def _standing(site_id: int, patient_id: str, issuers: Collection[str]) -> Patient | None:
    """The record that an id is read as, locked: its own, or the one that it was merged into."""
    with connection.cursor() as cursor:
        # Half of all patients come for the first time, and a search composed by Django costs four times as much.
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM patients_patient WHERE site_id = %s AND patient_id = %s)",
            [site_id, patient_id],
        )
        if not cursor.fetchone()[0]:
            return None
    while True:
        own = Patient.objects.filter(site_id=site_id, patient_id=patient_id, issuer__in=issuers)
        found = own.order_by("issuer").first()
        if found is None:
            return None
        locked = Patient.objects.select_for_update().get(pk=found.merged_into_id or found.pk)
        # Somebody may have merged it, or taken that back, before it was locked.
        if locked.merged_into_id is None and (
            locked.pk == found.pk or own.filter(pk=found.pk, merged_into=locked).exists()
        ):
            return locked


def correct_demographics(actor: Actor, patient_id: uuid.UUID, said: Mapping[str, str]) -> None:
    """Take over what the hospital says is right: `name`, `birth_date` (ISO), `sex`. Call in the transaction of the
    study's correction, after the study's lock."""
    patient = _take_over(patient_id, said)
    record(
        actor,
        "patient.correct",
        object_type="patient",
        object_id=patient.pk,
        site_id=patient.site_id,
        fields=sorted(said),
    )


def _take_over(patient_id: uuid.UUID, said: Mapping[str, str]) -> Patient:
    patient = Patient.objects.select_for_update().get(pk=patient_id)
    for field, value in said.items():
        if field == "name":
            patient.name_groups = groups_of(value)
        elif field == "birth_date":
            patient.birth_date, patient.birth_date_sent = date.fromisoformat(value), ""
        else:
            setattr(patient, field, value)
    patient.save(update_fields=[*_columns(said), "birth_date_sent"])
    return patient


def _new(site_id: int, issuer: str, patient_id: str, reported: Demographics) -> Patient:
    return Patient(
        site_id=site_id,
        issuer=issuer,
        patient_id=patient_id,
        birth_date=reported.birth_date,
        birth_date_sent="" if reported.birth_date else reported.birth_date_sent,
        sex=reported.sex,
        **groups_of(reported.name).columns(),
    )


def _filled(patient: Patient, reported: Demographics) -> tuple[list[str], dict[str, str]]:
    """Fill in what was unknown. Returns the fields that were, and those that differ with what was reported."""
    filled, differing = [], {}
    stored, new = patient.name_groups, groups_of(reported.name)
    if new and stored and not stored.same_as(new):
        differing["name"] = reported.as_json("name")
    elif (completed := stored.completed_by(new)) != stored:
        patient.name_groups = completed
        filled.append("name")
    for field in ("birth_date", "sex"):
        value = getattr(reported, field)
        if not value or getattr(patient, field) == value:
            continue
        if getattr(patient, field):
            differing[field] = reported.as_json(field)
        else:
            setattr(patient, field, value)
            filled.append(field)
    if patient.birth_date and patient.birth_date_sent:
        patient.birth_date_sent = ""
        filled.append("birth_date_sent")
    elif not patient.birth_date and not patient.birth_date_sent and reported.birth_date_sent:
        patient.birth_date_sent = reported.birth_date_sent
        filled.append("birth_date_sent")
    return filled, differing


def _columns(fields: Iterable[str]) -> list[str]:
    """The columns of these fields: a name has one for each of its groups, and one that searches look through."""
    return [
        column
        for field in fields
        for column in (
            (field, "name_ideographic", "name_phonetic", "search_name") if field == "name" else (field,)
        )
    ]


def _ask_for_review(
    actor: Actor, patient: Patient, differing: dict[str, str], study_instance_uid: str
) -> None:
    """One open entry for the same difference is enough, however many studies bring it; and a study that is sent again
    does not ask again what was decided."""
    alike = DemographicsReview.objects.filter(patient=patient, reported=differing)
    is_open = Q(outcome=DemographicsReview.Outcome.OPEN)
    if alike.filter(is_open | Q(study_instance_uid=study_instance_uid)).exists():
        return
    review = DemographicsReview.objects.create(
        patient=patient, study_instance_uid=study_instance_uid, reported=differing
    )
    record(
        actor,
        "review.open",
        object_type="review",
        object_id=review.pk,
        site_id=patient.site_id,
        fields=sorted(differing),
    )


@transaction.atomic
def open_reviews(actor: Actor, *, only_open: bool, page: str | None, size: int) -> Page[DemographicsReview]:
    """A page of the demographics reviews of the actor's site, with the fact that it was looked at. Raises
    `NotPermitted`."""
    shown = Paginator(selectors.reviews_for(actor, only_open=only_open), size).get_page(page)
    record(actor, "patient.list_reviews", object_type="review", shown=len(shown.object_list))
    return shown


@transaction.atomic
def decide_review(actor: Actor, review_id: uuid.UUID, *, take_over: bool) -> DemographicsReview:
    """Keep the stored demographics, or take over the reported ones.

    Raises
    ------
    NotFound
        No such review at the actor's site.
    NotPermitted
        The role may not decide.
    Conflict
        Somebody else has decided it.
    """
    review = (
        DemographicsReview.objects.select_for_update(of=("self",))
        .select_related("patient")
        .filter(pk=review_id)
        .first()
    )
    if review is None:
        raise NotFound(_("There is no such review at your site."))
    require(actor, "patient.review_demographics", review.patient)
    if review.outcome != DemographicsReview.Outcome.OPEN:
        raise Conflict(_("Somebody has decided this review already."))
    if take_over:
        _take_over(review.patient_id, review.reported)
    review.outcome = DemographicsReview.Outcome.UPDATED if take_over else DemographicsReview.Outcome.KEPT
    review.decided_by, review.decided_at = actor.user, timezone.now()
    review.save(update_fields=["outcome", "decided_by", "decided_at"])
    record(
        actor,
        "review.decide",
        object_type="review",
        object_id=review.pk,
        site_id=review.patient.site_id,
        decision=review.outcome,
        fields=sorted(review.reported),
    )
    return review
