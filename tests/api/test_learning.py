"""Consent and data sets through the API: a hospital's system says who consents, the clinical lead makes versions."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cad_platform.accounts.models import Role, Scope, Site
from cad_platform.core.actor import Actor
from cad_platform.learning.models import Consent, DatasetVersion
from tests import factories
from tests.posted_files import token_for

pytestmark = pytest.mark.django_db
BASE = "/api/v1/learning"


@pytest.fixture
def site() -> Site:
    return factories.site()


def said(client: Client, patient_id: str, state: str = "yes", **headers: Any) -> Any:
    body = {"patient_id": patient_id, "state": state, "source": "form"}
    return client.post(f"{BASE}/consents", body, content_type="application/json", **headers)


def test_a_hospitals_system_says_who_consents(client: Client, site: Site) -> None:
    patient = factories.patient(site)
    system = factories.user(Role.INTEGRATOR, site)
    posts = {"HTTP_AUTHORIZATION": f"Bearer {token_for(system, Scope.STUDIES_WRITE)}"}
    reads = {"HTTP_AUTHORIZATION": f"Bearer {token_for(system, Scope.STUDIES_READ)}"}
    answer = said(client, patient.patient_id, **posts)
    assert answer.status_code == 201 and answer.json()["state"] == "yes"
    assert Consent.objects.get().patient == patient
    assert said(client, patient.patient_id, **reads).status_code == 403
    assert said(client, "somebody else", **posts).status_code == 404
    assert said(client, patient.patient_id, "perhaps", **posts).status_code == 422
    other = factories.user(Role.INTEGRATOR)
    elsewhere = {"HTTP_AUTHORIZATION": f"Bearer {token_for(other, Scope.STUDIES_WRITE)}"}
    assert said(client, patient.patient_id, **elsewhere).status_code == 404


def test_the_lead_makes_a_version(client: Client, site: Site) -> None:
    reader = factories.user(Role.RADIOLOGIST, site)
    study = factories.study(site, "US")
    factories.instance(study, view="")
    factories.signed_rows(study, Actor.of_user(reader), {"kind": "imaging", "assessment": "2"})
    lead = factories.user(Role.CLINICAL_LEAD, site)
    client.force_login(lead)
    make = lambda: client.post(f"{BASE}/datasets", {"modality": "US"}, content_type="application/json")  # noqa: E731
    assert make().json()["type"].endswith(":nothing_to_learn")
    assert said(client, study.patient.patient_id).status_code == 201
    made = make()
    assert made.status_code == 201, made.content
    assert {key: made.json()[key] for key in ("number", "images", "patients", "labels", "withdrawn")} == {
        "number": 1, "images": 1, "patients": 1, "labels": {"benign": 1}, "withdrawn": 0,
    }  # fmt: skip
    assert make().json()["type"].endswith(":unchanged")
    said(client, study.patient.patient_id, "no")
    one = f"{BASE}/datasets/{made.json()['id']}"
    assert client.get(one).json()["withdrawn"] == 1
    assert (
        client.post(f"{BASE}/datasets", {"modality": "SM"}, content_type="application/json").status_code
        == 422
    )
    client.force_login(factories.user(Role.ADMINISTRATOR))
    assert [each["number"] for each in client.get(f"{BASE}/datasets").json()["results"]] == [1]
    assert make().status_code in (403, 404)
    client.force_login(factories.user(Role.CLINICAL_LEAD))
    assert client.get(one).status_code == 404 and client.get(f"{BASE}/datasets").json() == {"results": []}
    for role in (Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER, Role.INTEGRATOR):
        client.force_login(factories.user(role, site))
        assert (client.get(one).status_code, make().status_code) == (403, 403), role
    assert DatasetVersion.objects.count() == 1
