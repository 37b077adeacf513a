"""Who consents. A person may have several records that became one: the latest word of any of them counts."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.core.paginator import Page, Paginator
from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.learning.models import Consent
from cad_platform.patients.models import Patient
from cad_platform.patients.services import issuers_at, whose_it_is


@transaction.atomic
def say(actor: Actor, patient_id: str, issuer: str, *, state: str, source: str) -> Consent:
    """Keep what a patient said to the use of her images for learning.

    Raises
    ------
    NotFound
        Nobody goes by this id at the actor's site.
    NotPermitted
        The role records no consent.
    Invalid
        The state or the source is none of those that there are; or no issuer is said, and several patients of the
        site go by this id.
    Conflict
        The record was erased; `two_records`: two of the site's own go by this id, and are to be merged first.
    """
    require(actor, "consent.record")
    assert actor.site_id is not None
    wrong = [
        FieldError(_("Choose one of the list."), name)
        for name, value, choices in (("state", state, Consent.State), ("source", source, Consent.Source))
        if value not in choices.values
    ]
    if wrong:
        raise Invalid(_("The consent was not recorded."), errors=tuple(wrong))
    # Two who say something at once are one after the other: the later row is the later word.
    patient = Patient.objects.select_for_update(no_key=True).get(
        pk=_meant(actor.site_id, patient_id.strip().replace("\0", ""), issuer.replace("\0", "").strip())
    )
    if patient.erased_at is not None:
        raise Conflict(_("This record was erased."))
    made = Consent.objects.create(
        site_id=patient.site_id, patient=patient, state=state, source=source, recorded_by=actor.user
    )
    record(
        actor, "consent.record", object_type="patient", object_id=patient.pk, site_id=patient.site_id,
        state=state, source=source,
    )  # fmt: skip
    return made


def _meant(site_id: int, patient_id: str, issuer: str) -> uuid.UUID:
    """The record that counts of the one person who is meant: the word of one is never kept as another's."""
    same_id = Patient.objects.filter(site_id=site_id, patient_id=patient_id).order_by("issuer")
    records = list(same_id.values_list("issuer", Coalesce("merged_into", "pk")))
    own = Site.objects.get(pk=site_id)
    # Where the site's own ids have no issuer's name, its code says that they are meant.
    named = set(issuers_at(site_id, "" if issuer == own.code else issuer))
    people = {person for given, person in records if given in named}
    if not people:
        raise NotFound(_("There is no patient with this id at your site."))
    if len(people) > 1:
        raise Conflict(
            _("Two records of your site have this id: have them merged first (Merged records)."),
            code="two_records",
        )
    if not issuer and {person for _given, person in records} != people:
        asked = whose_it_is(site_id, (given for given, _person in records))
        raise Invalid(_("The consent was not recorded."), errors=(asked,))
    return people.pop()


@transaction.atomic
def open_consents(actor: Actor, *, page: str | None, size: int) -> Page[Consent]:
    """A page of what was said at the actor's site, the latest first, with the fact that it was looked at. Raises
    `NotPermitted`."""
    require(actor, "consent.record")
    assert actor.site_id is not None
    said = Consent.objects.filter(site_id=actor.site_id).select_related("patient", "recorded_by")
    shown = Paginator(said, size).get_page(page)
    record(actor, "consent.list", object_type="patient", site_id=actor.site_id, shown=len(shown.object_list))
    return shown


def consenting(patients: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these records whose person consents as of now: her latest word is yes, and she was not erased.

    Parameters
    ----------
    patients
        Records, merged ones too: each is asked as the one that it is read as.
    """
    read_as = dict(
        Patient.objects.filter(pk__in=patients, erased_at__isnull=True)
        .annotate(person=Coalesce("merged_into", "pk"))
        .values_list("pk", "person")
    )
    latest = dict(
        Consent.objects.annotate(person=Coalesce("patient__merged_into", "patient"))
        .filter(person__in=set(read_as.values()))
        .order_by("person", "-pk")
        .distinct("person")
        .values_list("person", "state")
    )
    return {key for key, person in read_as.items() if latest.get(person) == Consent.State.YES}
