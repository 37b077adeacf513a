"""What an actor may read of patients."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.patients.models import DemographicsReview
from cad_platform.patients.person_name import search_words


def reviews_for(actor: Actor, *, only_open: bool = True) -> QuerySet[DemographicsReview]:
    """The demographics reviews of the actor's site, newest first, with their patients."""
    require(actor, "patient.review_demographics")
    assert actor.site_id is not None
    reviews = DemographicsReview.objects.filter(patient__site_id=actor.site_id).select_related(
        "patient__site", "decided_by"
    )
    return reviews.filter(outcome=DemographicsReview.Outcome.OPEN) if only_open else reviews


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
