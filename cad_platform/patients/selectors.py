"""What an actor may read of patients."""

from __future__ import annotations

from django.db.models import QuerySet

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.patients.models import DemographicsReview


def reviews_for(actor: Actor, *, only_open: bool = True) -> QuerySet[DemographicsReview]:
    """The demographics reviews of the actor's site, newest first, with their patients."""
    require(actor, "patient.review_demographics")
    assert actor.site_id is not None
    reviews = DemographicsReview.objects.filter(patient__site_id=actor.site_id).select_related(
        "patient", "decided_by"
    )
    return reviews.filter(outcome=DemographicsReview.Outcome.OPEN) if only_open else reviews
