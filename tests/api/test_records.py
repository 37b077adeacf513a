"""Merging of records, holds, erasures and retention through the API: done, refused, seen by nobody else, audited."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from cad_platform.accounts.models import Role, Scope, Site
from cad_platform.audit.models import AuditEvent
from cad_platform.patients.models import Patient
from cad_platform.records import retention
from cad_platform.records.models import ErasureRequest, Hold, PatientMerge
from cad_platform.studies.models import Study
from tests import factories
from tests.posted_files import token_for

pytestmark = pytest.mark.django_db
BASE = "/api/v1/records"
WHY = {"reason": "The same woman, registered twice."}
TWO = {"kept": {"patient_id": "P-1"}, "gone": {"patient_id": "OLD-1"}}
NOBODY = uuid.UUID(int=1)


@pytest.fixture
def site() -> Site:
    return factories.site()


def signed_in(role: str, site: Site | None) -> Client:
    client = Client()
    client.force_login(factories.user(role, site))
    return client


def post(client: Client, path: str, body: Any = None, method: str = "post") -> Any:
    return getattr(client, method)(f"{BASE}/{path}", body, content_type="application/json")


def two(site: Site) -> tuple[Patient, Patient, Study]:
    kept, gone = factories.patient(site, patient_id="P-1"), factories.patient(site, patient_id="OLD-1")
    return kept, gone, factories.study(site, patient=gone)


def actions() -> set[str]:
    return set(AuditEvent.objects.values_list("action", flat=True))


def test_two_records_become_one_and_two_again(site: Site) -> None:
    kept, gone, study = two(site)
    reader = signed_in(Role.RADIOLOGIST, site)
    compared = post(reader, "merges/comparison", TWO)
    assert compared.status_code == 200, compared.content
    assert (compared.json()["gone"]["studies"], compared.json()["kept"]["studies"]) == (1, 0)
    made = post(reader, "merges", TWO | WHY)
    assert made.status_code == 201, made.content
    assert made.json()["studies"] == [study.study_instance_uid] and made.json()["kept"]["id"] == "P-1"
    assert Study.objects.get().patient == kept
    assert post(reader, "merges", TWO | WHY).status_code == 409
    listed = reader.get(f"{BASE}/merges").json()
    assert (listed["page"], listed["pages"], len(listed["results"])) == (1, 1, 1)
    undone = post(reader, f"merges/{made.json()['id']}/undo", WHY)
    assert undone.json()["undone_reason"] == WHY["reason"] and Study.objects.get().patient == gone
    assert post(reader, f"merges/{made.json()['id']}/undo", WHY).status_code == 409
    assert {
        "patient.compare",
        "patient.merge",
        "patient.list_merges",
        "patient.view_merge",
        "patient.unmerge",
    } <= actions()
    assert not AuditEvent.objects.filter(detail__icontains="OLD-1").exists()


def test_a_hold_stands_above_an_erasure_and_two_people_decide(site: Site) -> None:
    factories.patient(site, patient_id="P-1")
    first, second = (signed_in(Role.RADIOLOGIST, site) for _ in range(2))
    wanted = {"patient_id": "P-1", "on_behalf": "patient", "reason": "She asked."}
    held = post(first, "holds", {"patient_id": "P-1", "reason": "A trial."})
    assert held.status_code == 201, held.content
    assert post(first, "erasures", wanted).status_code == 409
    lift = f"holds/{held.json()['id']}/lift"
    assert post(first, lift, {"reason": "It ended."}).json()["lifted_reason"] == "It ended."
    assert post(first, lift, {"reason": "It ended."}).status_code == 409
    asked = post(first, "erasures", wanted)
    assert asked.status_code == 201 and asked.json()["extent"]["records"] == 1, asked.content
    one = f"erasures/{asked.json()['id']}"
    assert post(first, f"{one}/approve").status_code == 403
    decided = post(second, f"{one}/approve")
    assert decided.status_code == 200 and decided.json()["state"] == "decided"
    assert post(second, f"{one}/refuse", {"reason": "No."}).status_code == 409
    assert [each["state"] for each in first.get(f"{BASE}/erasures").json()["results"]] == ["decided"]
    assert len(first.get(f"{BASE}/holds").json()["results"]) == 1
    assert {
        "hold.list",
        "hold.place",
        "hold.lift",
        "erasure.ask",
        "erasure.view",
        "erasure.list",
        "erasure.decide",
    } <= actions()


def test_a_request_is_refused_with_a_reason(site: Site) -> None:
    factories.patient(site, patient_id="P-1")
    reader = signed_in(Role.RADIOLOGIST, site)
    asked = post(
        reader, "erasures", {"patient_id": "P-1", "on_behalf": "authority", "reason": "A court."}
    ).json()
    assert post(reader, f"erasures/{asked['id']}/refuse", {"reason": " "}).status_code == 422
    refused = post(reader, f"erasures/{asked['id']}/refuse", {"reason": "Another court."}).json()
    assert (refused["state"], refused["refused_reason"]) == ("refused", "Another court.")


def test_what_falls_due_by_the_sites_policy(site: Site) -> None:
    long_ago = timezone.now() - timedelta(days=4000)
    patient = factories.patient(site, patient_id="P-1", created_at=long_ago)
    factories.study(site, patient=patient, study_date=long_ago.date())
    reader, administrator = signed_in(Role.RADIOLOGIST, site), signed_in(Role.ADMINISTRATOR, None)
    assert reader.get(f"{BASE}/due").json() == {"page": 1, "pages": 1, "years": None, "results": []}
    assert {"site": site.code, "years": None} in administrator.get(f"{BASE}/policies").json()["results"]
    said = post(administrator, f"policies/{site.code}", {"years": 10}, "put")
    assert said.json() == {"site": site.code, "years": 10}
    due = reader.get(f"{BASE}/due").json()
    assert [each["patient"]["id"] for each in due["results"]] == ["P-1"] and due["years"] == 10
    assert due["results"][0]["last_visit"] == long_ago.date().isoformat()
    for years in (0, 101, "ten", 1.5):
        assert post(administrator, f"policies/{site.code}", {"years": years}, "put").status_code == 422
    assert post(administrator, "policies/nowhere", {"years": 5}, "put").status_code == 404
    assert retention.years_at(site.pk) == 10 and {"retention.list", "retention.change_policy"} <= actions()


@pytest.mark.parametrize("query", ["page=0", "page=x", "page=1&page=2", "patient=P-1"])
def test_a_page_that_there_is_not_is_refused(site: Site, query: str) -> None:
    reader = signed_in(Role.RADIOLOGIST, site)
    for path in ("merges", "holds", "erasures", "due"):
        assert reader.get(f"{BASE}/{path}?{query}").status_code == 422, path


#: path → (method, body, whether clinicians may; else administrators)
ADDRESSES: dict[str, tuple[str, Any, bool]] = {
    "merges": ("get", None, True),
    "merges ": ("post", TWO | WHY, True),
    "merges/comparison": ("post", TWO, True),
    "merges/{merge}": ("get", None, True),
    "merges/{merge}/undo": ("post", WHY, True),
    "due": ("get", None, True),
    "policies": ("get", None, False),
    "policies/{site}": ("put", {"years": 5}, False),
    "holds": ("get", None, True),
    "holds ": ("post", {"patient_id": "P-1", **WHY}, True),
    "holds/{hold}/lift": ("post", WHY, True),
    "erasures": ("get", None, True),
    "erasures ": ("post", {"patient_id": "P-1", "on_behalf": "patient", **WHY}, True),
    "erasures/{erasure}": ("get", None, True),
    "erasures/{erasure}/approve": ("post", None, True),
    "erasures/{erasure}/refuse": ("post", WHY, True),
}
CLINICIANS = {Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER, Role.CLINICAL_LEAD}


@pytest.fixture
def rows(site: Site) -> dict[str, Any]:
    """What the addresses name, at one site."""
    _kept, gone, _study = two(site)
    by = factories.user(Role.RADIOLOGIST, site)
    other = factories.patient(site, patient_id="P-2")
    merge = PatientMerge.objects.create(
        site=site,
        kept=other,
        gone=factories.patient(site),
        reason="x",
        moved={"studies": [], "reviews": [], "records": []},
        by=by,
    )
    hold = Hold.objects.create(patient=other, reason="x", placed_by=by)
    erasure = ErasureRequest.objects.create(
        site=site, patient=gone, on_behalf="patient", reason="x", asked_by=by
    )
    return {"merge": merge.pk, "hold": hold.pk, "erasure": erasure.pk, "site": site.code}


def ask(client: Client, address: str, named: dict[str, Any]) -> Any:
    method, body, _ = ADDRESSES[address]
    path = address.strip().format(**named)
    return client.get(f"{BASE}/{path}") if method == "get" else post(client, path, body, method)


@pytest.mark.parametrize("address", ADDRESSES)
def test_who_may_and_for_whom_it_does_not_exist(address: str, site: Site, rows: dict[str, Any]) -> None:
    before = AuditEvent.objects.count()
    for role in Role.values:
        is_clinician = role in CLINICIANS
        if ADDRESSES[address][2] == is_clinician and role != Role.INTEGRATOR:
            if is_clinician:  # of another site: nobody is known there
                answer = ask(signed_in(role, factories.site()), address, rows)
                listed = answer.status_code == 200 and answer.json()["results"] == []
                assert answer.status_code == 404 or listed, (role, answer.content)
            continue
        answer = ask(signed_in(role, None if role == Role.ADMINISTRATOR else site), address, rows)
        assert answer.status_code == 403, (role, answer.content)
    token = token_for(factories.user(Role.RADIOLOGIST, site), Scope.STUDIES_READ, Scope.STUDIES_WRITE)
    assert ask(Client(headers={"Authorization": f"Bearer {token}"}), address, rows).status_code == 403
    assert ask(Client(), address, rows).status_code == 401
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(factories.user(Role.RADIOLOGIST, site))
    if ADDRESSES[address][0] != "get":
        assert ask(strict, address, rows).status_code == 403
        written = {
            "patient.merge",
            "patient.unmerge",
            "hold.place",
            "hold.lift",
            "erasure.ask",
            "erasure.decide",
            "retention.change_policy",
        }
        assert not written & set(AuditEvent.objects.order_by("pk")[before:].values_list("action", flat=True))


@pytest.mark.parametrize("address", [address for address in ADDRESSES if "{" in address])
def test_what_there_is_not_is_404(address: str, site: Site) -> None:
    role = Role.RADIOLOGIST if ADDRESSES[address][2] else Role.ADMINISTRATOR
    nothing = {"merge": NOBODY, "hold": NOBODY, "erasure": NOBODY, "site": "nowhere"}
    client = signed_in(role, site if ADDRESSES[address][2] else None)
    assert ask(client, address, nothing).status_code == 404
