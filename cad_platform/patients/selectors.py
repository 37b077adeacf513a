"""What an actor may read of patients."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q, QuerySet

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.patients.person_name import search_words


def reviews_for(actor: Actor, *, only_open: bool = True) -> QuerySet[DemographicsReview]:
    """The demographics reviews of the actor's site, newest first, with their patients."""
    require(actor, "patient.review_demographics")
    assert actor.site_id is not None
    reviews = DemographicsReview.objects.filter(patient__site_id=actor.site_id).select_related(
        "patient__site", "decided_by"
    )
    return reviews.filter(outcome=DemographicsReview.Outcome.OPEN) if only_open else reviews


def known_as(patient_id: str, issuers: Collection[str] | None = None, patient: str = "patient__") -> Q:
    """Patients who go by an id, their own or that of a record that was merged into theirs.

    Parameters
    ----------
    issuers
        Who gave it (`patients.services.issuers_at`); none for whoever did.
    patient
        Leads from the rows that are asked for to the patient.
    """
    own = {"patient_id": patient_id} if issuers is None else {"patient_id": patient_id, "issuer__in": issuers}
    merged = Patient.objects.filter(merged_into__isnull=False, **own).values("merged_into")
    return Q(**{f"{patient}{name}": value for name, value in own.items()}) | Q(**{f"{patient}pk__in": merged})


def merged_like(word: str, patient: str = "patient__") -> Q:
    """Patients into whose record one was merged that has a word in its id or name."""
    merged = Patient.objects.filter(
        Q(patient_id__icontains=word) | named(word, ""), merged_into__isnull=False
    )
    return Q(**{f"{patient}pk__in": merged.values("merged_into")})


def named(query: str, patient: str = "patient__") -> Q:
    """Patients whose name has every word of `query`, in any order and script, with or without accents, as displayed or
    as DICOM writes it; nobody where the query has no word.

    `patient` leads from the rows that are asked for to the patient.
    """
    words = search_words(query)
    found = Q() if words else Q(pk__in=[])
    for word in words:
        found &= Q(**{f"{patient}search_name__contains": word})
    return found
