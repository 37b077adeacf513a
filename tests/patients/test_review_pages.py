"""Differing demographics on screen, for the clinicians of the site."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role, Site
from cad_platform.patients.models import DemographicsReview
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def review(site: Site) -> DemographicsReview:
    patient = factories.patient(site)
    study = factories.study(site, patient=patient)
    reported = {"name": "Okafor^Amara Jane", "birth_date": "1962-04-02", "sex": "O"}
    return DemographicsReview.objects.create(
        patient=patient, study_instance_uid=study.study_instance_uid, reported=reported
    )


@pytest.fixture
def browser(site: Site) -> Client:
    client = Client()
    client.force_login(factories.user(Role.SONOGRAPHER, site))
    return client


def test_stored_and_reported_stand_side_by_side(browser: Client, review: DemographicsReview) -> None:
    entry = browser.get(reverse("demographics-reviews")).context["entries"][0]
    assert entry["differences"] == [
        ("Date of birth", "1961-04-02", "1962-04-02"),
        ("Patient name", "Okafor, Amara", "Okafor, Amara Jane"),
        ("Sex", "Female", "Other"),
    ]


@pytest.mark.parametrize(("decision", "name"), [("keep", "Okafor^Amara"), ("take_over", "Okafor^Amara Jane")])
def test_a_person_decides(decision: str, name: str, browser: Client, review: DemographicsReview) -> None:
    browser.post(reverse("decide-review", args=[review.pk]), {"decision": decision})
    review.patient.refresh_from_db()
    assert review.patient.name == name
    assert browser.get(reverse("demographics-reviews")).context["entries"] == []
    assert len(browser.get(reverse("demographics-reviews"), {"show": "all"}).context["entries"]) == 1


def test_another_site_neither_sees_nor_decides(review: DemographicsReview) -> None:
    stranger = Client()
    stranger.force_login(factories.user(Role.RADIOLOGIST))
    assert stranger.get(reverse("demographics-reviews")).context["entries"] == []
    answer = stranger.post(reverse("decide-review", args=[review.pk]), {"decision": "take_over"})
    assert answer.status_code == 404
