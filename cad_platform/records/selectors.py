"""What an actor may read of what was done to records."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound
from cad_platform.records.models import PatientMerge
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import studies_for


def merges(actor: Actor) -> QuerySet[PatientMerge]:
    """Those of the actor's site, the latest first."""
    require(actor, "patient.merge")
    assert actor.site_id is not None  # the permission admits nobody without a site
    return PatientMerge.objects.filter(site_id=actor.site_id).select_related(
        "kept__site", "gone__site", "by", "undone_by"
    )


def merge(actor: Actor, merge_id: uuid.UUID) -> PatientMerge:
    """One of them. Raises `NotFound` or `NotPermitted`."""
    found = merges(actor).filter(pk=merge_id).first()
    if found is None:
        raise NotFound(_("There is no such merge at your site."))
    return found


def studies_of(actor: Actor, found: PatientMerge) -> QuerySet[Study]:
    """The studies that a merge moved."""
    return studies_for(actor).filter(pk__in=found.moved["studies"]).order_by("-study_date", "pk")


def came_since(actor: Actor, found: PatientMerge) -> QuerySet[Study]:
    """The studies of the record that stayed which came after the merge: under which id, nobody knows any more."""
    return (
        studies_for(actor).filter(patient=found.kept, received_at__gt=found.at).order_by("-received_at", "pk")
    )
