"""What an actor may read of patients."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping

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


def absorbed_into(patients: Collection[uuid.UUID | None]) -> Mapping[uuid.UUID | None, list[tuple[str, str]]]:
    """Of each of these patients the records that were merged into hers: what a search by name looks through, and the
    id."""
    found: defaultdict[uuid.UUID | None, list[tuple[str, str]]] = defaultdict(list)
    merged = Patient.objects.filter(merged_into__in=[key for key in patients if key]).order_by("pk")
    for into, name, number in merged.values_list("merged_into", "search_name", "patient_id"):
        found[into].append((name, number))
    return found


def named(query: str, patient: str = "patient__") -> Q:
    """Patients whose name has every word of `query`, in any order and script, with or without accents, as displayed or
    as DICOM writes it; nobody where the query has no word.

    `patient` leads from the rows that are asked for to the patient.
    """
    words = search_words(query)
    found = Q() if words else Q(pk__in=[])
    for word in words:
        found &= Q(**{f"{patient}search_name__part": word})
    return found
