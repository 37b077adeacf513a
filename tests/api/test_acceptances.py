"""Local acceptance through the API: what the page does, by the same rules."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cad_platform.accounts.models import Role, Scope, Site
from cad_platform.quality.models import Acceptance
from cad_platform.registry.models import ModelVersion
from tests import factories
from tests.posted_files import token_for
from tests.quality.test_acceptance import measured, reported, site, studies, table, version  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db
BASE = "/api/v1/acceptances"


def session(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


def test_from_the_table_to_thresholds_in_force(version: ModelVersion, site: Site) -> None:  # noqa: F811
    one = session(factories.user(Role.ADMINISTRATOR))
    other = session(factories.user(Role.CLINICAL_LEAD, site))
    ask = f"/api/v1/models/{version.name}/{version.version}/acceptances"
    refused = post(one, ask, {"site": site.code, "table": "study,label\nNONE,benign\n"})
    assert refused.status_code == 422 and "line 2" in refused.content.decode()
    assert post(one, ask, {"site": "nowhere"}).status_code == 422
    asked = post(one, ask, {"site": site.code, "table": table(studies(site))})
    assert (asked.status_code, asked.json()["state"], asked.json()["verdict"]) == (202, "waiting", None)
    place = f"{BASE}/{asked.json()['id']}"
    measured(Acceptance.objects.get(), reported(2.5, 100))
    found = one.get(place).json()
    assert found["acceptance"]["verdict"] == Acceptance.objects.get().verdict
    assert {"figures", "points", "subgroups", "calibration", "shift"} <= set(found["report"])
    assert post(one, f"{place}/sign", {"note": "seen"}).json()["type"].endswith("same_person")
    assert post(other, f"{place}/sign", {"note": "seen"}).json()["signed_by"]
    assert post(other, f"{place}/thresholds", {"step": "propose"}).status_code == 403
    assert post(one, f"{place}/thresholds", {"step": "sign"}).status_code == 404
    assert post(one, f"{place}/thresholds", {"step": "propose"}).json()["thresholds"]["state"] == "proposed"
    assert post(one, f"{place}/thresholds", {"step": "sign"}).status_code == 409
    assert post(other, f"{place}/thresholds", {"step": "sign"}).json()["thresholds"]["state"] == "in_force"
    ended = post(other, f"{place}/thresholds", {"step": "withdraw", "reason": "a new scanner"}).json()
    assert (ended["thresholds"]["state"], ended["thresholds"]["reason"]) == ("ended", "a new scanner")
    assert [each["id"] for each in other.get(BASE).json()["results"]] == [asked.json()["id"]]


def test_who_may_what(version: ModelVersion, site: Site) -> None:  # noqa: F811
    row = measured(Acceptance.objects.create(model_version=version, site=site, source="table"))
    token = token_for(factories.user(Role.INTEGRATOR, site), Scope.STUDIES_READ, Scope.STUDIES_WRITE)
    roles = set(Role.values) - {Role.ADMINISTRATOR, Role.CLINICAL_LEAD}
    clients = [session(factories.user(role, site)) for role in roles]
    clients += [Client(headers={"Authorization": f"Bearer {token}"})]
    ask = f"/api/v1/models/{version.name}/{version.version}/acceptances"
    for client in clients:
        answers = [client.get(BASE), client.get(f"{BASE}/{row.pk}"), post(client, ask, {"site": site.code})]
        answers += [post(client, f"{BASE}/{row.pk}/sign", {"note": "x"})]
        answers += [post(client, f"{BASE}/{row.pk}/thresholds", {"step": "propose"})]
        assert {answer.status_code for answer in answers} == {403}
    stranger = session(factories.user(Role.CLINICAL_LEAD))
    assert stranger.get(BASE).json() == {"results": []}
    assert stranger.get(f"{BASE}/{row.pk}").status_code == 404
    assert post(stranger, ask, {"site": site.code}).status_code == 403
    assert Client().get(BASE).status_code == 401
