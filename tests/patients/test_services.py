"""Demographics: what arrives is compared, and a person decides."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import transaction

from cad_platform.accounts.models import Role, Site
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, NotFound, NotPermitted
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.patients.person_name import same_name
from cad_platform.patients.selectors import reviews_for
from cad_platform.patients.services import Demographics, decide_review, receive_patient
from tests import factories

pytestmark = pytest.mark.django_db
KNOWN = Demographics("Okafor^Amara", date(1961, 4, 2), "F")


@pytest.fixture
def here() -> Site:
    return factories.site()


def arrive(at: Site, reported: Demographics) -> Patient:
    with transaction.atomic():
        return receive_patient(Actor.system("test"), at.pk, "P-1", reported, "2.25.1")


@pytest.fixture
def review(here: Site) -> DemographicsReview:
    arrive(here, KNOWN)
    arrive(here, Demographics("Okafor-Lund^Amara", date(1961, 2, 4), "F"))
    return DemographicsReview.objects.get()


def test_the_same_or_nothing_new_opens_no_review(here: Site) -> None:
    for reported in (KNOWN, Demographics(), Demographics("OKAFOR^amara^^^", None, "F")):
        assert arrive(here, reported).name == "Okafor^Amara" or reported is KNOWN
    assert not DemographicsReview.objects.exists()


def test_only_what_differs_is_reported(review: DemographicsReview) -> None:
    assert review.reported == {"name": "Okafor-Lund^Amara", "birth_date": "1961-02-04"}


@pytest.mark.parametrize(("take_over", "name"), [(True, "Okafor-Lund^Amara"), (False, "Okafor^Amara")])
def test_a_clinician_decides(review: DemographicsReview, here: Site, take_over: bool, name: str) -> None:
    reader = factories.actor(Role.RADIOLOGIST, here)
    assert list(reviews_for(reader)) == [review]
    decided = decide_review(reader, review.pk, take_over=take_over)
    assert decided.decided_by == reader.user
    patient = Patient.objects.get()
    assert patient.name == name
    assert patient.birth_date == (date(1961, 2, 4) if take_over else date(1961, 4, 2))
    assert not reviews_for(reader).exists()
    assert AuditEvent.objects.filter(action="review.decide").count() == 1
    with pytest.raises(Conflict):
        decide_review(reader, review.pk, take_over=take_over)


def test_nobody_of_another_site_and_no_system_decides(review: DemographicsReview, here: Site) -> None:
    with pytest.raises(NotFound):
        decide_review(factories.actor(Role.RADIOLOGIST), review.pk, take_over=True)
    with pytest.raises(NotPermitted):
        decide_review(factories.actor(Role.INTEGRATOR, here), review.pk, take_over=True)
    assert not reviews_for(factories.actor(Role.RADIOLOGIST)).exists()


def test_the_same_id_at_another_site_is_another_patient(here: Site) -> None:
    other = factories.site()
    assert arrive(here, KNOWN) != arrive(other, Demographics("Someone^Else"))
    assert Patient.objects.get(site=other).name == "Someone^Else"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Okafor^Amara", "OKAFOR^AMARA^^", True),
        ("Okafor^Amara", "Okafor Amara", True),
        ("Müller^Änne", "MÜLLER^ÄNNE", True),
        ("Okafor^Amara", "Okafor^Amira", False),
        ("", "Okafor", False),
    ],
)
def test_when_two_names_are_the_same(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same
