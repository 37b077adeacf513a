"""How long a site keeps what it has of a patient, and what keeps a record longer (ADR 57).

A record falls due when the site's years have passed since the last visit. Nothing goes by itself: what is due is
listed, and goes as an erasure that two people decide (`records.erasing`).
"""

from __future__ import annotations

import uuid
from datetime import date

from django.core.paginator import Page, Paginator
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.patients.models import Patient
from cad_platform.records.models import ErasureRequest, Hold, RetentionPolicy
from cad_platform.records.reasons import reason_given
from cad_platform.studies.models import Study

MOST_YEARS = 100


def policies(actor: Actor) -> list[tuple[Site, int | None]]:
    """Each site with the years that it keeps records, none for ever. Raises `NotPermitted`."""
    require(actor, "retention.manage")
    years = dict(RetentionPolicy.objects.values_list("site_id", "years"))
    return [(site, years.get(site.pk)) for site in Site.objects.order_by("name")]


@transaction.atomic
def change_policy(actor: Actor, site_id: int, years: int | None) -> RetentionPolicy:
    """How many years after the last visit a site's records fall due; none for never.

    Raises
    ------
    NotPermitted, NotFound
        The actor is no administrator; there is no such site.
    Invalid
        Fewer than one, or more than a hundred.
    """
    require(actor, "retention.manage")
    site = Site.objects.select_for_update(no_key=True).filter(pk=site_id).first()
    if site is None:
        raise NotFound(_("There is no such site."))
    if years is not None and not 1 <= years <= MOST_YEARS:
        raise Invalid(
            _("The policy was not changed."),
            errors=(
                FieldError(_("Between 1 and %(most)s years, or nothing.") % {"most": MOST_YEARS}, "years"),
            ),
        )
    policy, _made = RetentionPolicy.objects.update_or_create(
        site=site, defaults={"years": years, "changed_at": timezone.now(), "changed_by": actor.user}
    )
    record(
        actor, "retention.change_policy", object_type="site", object_id=site.pk, site_id=site.pk, years=years
    )
    return policy


def years_at(site_id: int) -> int | None:
    """The years that a site keeps records; none for ever."""
    return RetentionPolicy.objects.filter(site_id=site_id).values_list("years", flat=True).first()


def cutoff(site: Site, years: int) -> date:
    """The last visit of records that are due today, as the site's calendar has it."""
    today = timezone.now().astimezone(site.zone).date()
    try:
        return today.replace(year=today.year - years)
    except ValueError:  # the 29th of February
        return today.replace(year=today.year - years, day=28)


def due(actor: Actor) -> QuerySet[Patient]:
    """The records of the actor's site that are kept for no reason any more, those that waited the longest first, each
    with `last_visit`. Raises `NotPermitted`."""
    require(actor, "patient.erase")
    assert actor.site_id is not None
    site = Site.objects.get(pk=actor.site_id)
    years = years_at(site.pk)
    if years is None:
        return Patient.objects.none()
    visit = Coalesce("studies__study_date", TruncDate("studies__received_at"), TruncDate("created_at"))
    kept = Hold.objects.filter(lifted_at__isnull=True, patient=OuterRef("pk"))
    # Of a record that others were merged into, theirs count as well: the hold may be on one of them.
    kept_in_it = Hold.objects.filter(lifted_at__isnull=True, patient__merged_into=OuterRef("pk"))
    asked = ErasureRequest.objects.filter(state__in=ErasureRequest.OPEN, patient=OuterRef("pk"))
    found = Patient.objects.filter(site=site, merged_into__isnull=True, erased_at__isnull=True)
    found = found.exclude(Exists(kept)).exclude(Exists(kept_in_it)).exclude(Exists(asked))
    found = found.annotate(last_visit=Max(visit)).filter(last_visit__lte=cutoff(site, years))
    return found.select_related("site").order_by("last_visit", "pk")


@transaction.atomic
def open_due(actor: Actor, *, page: str | None, size: int) -> Page[Patient]:
    """A page of what is due, with the fact that it was looked at. Raises `NotPermitted`."""
    shown = Paginator(due(actor), size).get_page(page)
    record(actor, "retention.list", object_type="patient", shown=len(shown.object_list))
    return shown


def holds(actor: Actor) -> QuerySet[Hold]:
    """Those of the actor's site, the standing ones first. Raises `NotPermitted`."""
    require(actor, "patient.hold")
    assert actor.site_id is not None  # the permission admits nobody without a site
    found = Hold.objects.filter(patient__site_id=actor.site_id)
    return found.select_related("patient__site", "placed_by", "lifted_by").order_by(
        "-lifted_at", "-placed_at", "pk"
    )


@transaction.atomic
def open_holds(actor: Actor, *, page: str | None, size: int) -> Page[Hold]:
    """A page of the site's holds, with the fact that it was looked at. Raises `NotPermitted`."""
    shown = Paginator(holds(actor), size).get_page(page)
    record(actor, "hold.list", object_type="patient", shown=len(shown.object_list))
    return shown


@transaction.atomic
def place_hold(actor: Actor, patient: Patient, reason: str) -> Hold:
    """Keep a record, whatever the policy says and whoever asks.

    Raises
    ------
    NotFound, NotPermitted
        The record is another site's; the role may not.
    Invalid
        No reason.
    Conflict
        It is held already, or was erased.
    """
    require(actor, "patient.hold", patient)
    reason = reason_given(reason)
    locked = Patient.objects.select_for_update(no_key=True).get(pk=patient.pk)
    if locked.erased_at is not None:
        raise Conflict(_("This record was erased."))
    if Hold.objects.filter(patient=locked, lifted_at__isnull=True).exists():
        raise Conflict(_("This record is held already."))
    hold = Hold.objects.create(patient=locked, reason=reason, placed_by=actor.user)
    record(
        actor, "hold.place", object_type="patient", object_id=locked.pk, site_id=locked.site_id,
        hold=str(hold.pk),
    )  # fmt: skip
    return hold


@transaction.atomic
def lift_hold(actor: Actor, hold_id: uuid.UUID, reason: str) -> Hold:
    """End a hold. Raises as `place_hold` does; `Conflict` where it was lifted already."""
    require(actor, "patient.hold")
    hold = Hold.objects.select_for_update(of=("self",)).select_related("patient").filter(pk=hold_id).first()
    if hold is None:
        raise NotFound(_("There is no such hold at your site."))
    require(actor, "patient.hold", hold.patient)
    reason = reason_given(reason)
    if hold.lifted_at is not None:
        raise Conflict(_("This hold was lifted already."))
    hold.lifted_at, hold.lifted_by, hold.lifted_reason = timezone.now(), actor.user, reason
    hold.save(update_fields=["lifted_at", "lifted_by", "lifted_reason"])
    record(
        actor, "hold.lift", object_type="patient", object_id=hold.patient_id, site_id=hold.patient.site_id,
        hold=str(hold.pk),
    )  # fmt: skip
    return hold


def people_of(patient: Patient) -> list[Patient]:
    """A record, and those that were merged into it."""
    return [patient, *patient.absorbed.order_by("pk")]


def is_held(patient: Patient) -> bool:
    """Whether a hold stands on the record or on one that was merged into it."""
    return Hold.objects.filter(patient__in=people_of(patient), lifted_at__isnull=True).exists()


def studies_of(patient: Patient) -> QuerySet[Study]:
    """Every study of the record, withdrawn ones too."""
    return Study.objects.filter(patient__in=people_of(patient))
