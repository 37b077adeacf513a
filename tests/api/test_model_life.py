"""A version's life through the API: what administrators and clinical leads may, nobody else does, and the whole way."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cad_platform.accounts.models import Role, Scope
from cad_platform.core.models import OutboxEvent
from cad_platform.registry import routes, switching
from cad_platform.registry.models import Comparison, ModelRoute, ModelVersion, Verification
from tests import factories
from tests.posted_files import token_for

pytestmark = pytest.mark.django_db
BASE = "/api/v1/models"
ONE = f"{BASE}/ultrasound/2.2.1"
PLAN = {"change_class": "technical", "modification": "built anew", "protocol": "known case", "impact": "none"}
State = ModelVersion.State
#: name → (method, path, body, whether a clinical lead may)
CALLS: dict[str, tuple[str, str, Any, bool]] = {
    "life": ("get", f"{ONE}/life", None, True),
    "routes": ("get", f"{BASE}/routes", None, True),
    "agreement": ("get", f"{ONE}/agreement/2.2.0", None, True),
    "verify": ("post", f"{ONE}/verify", None, False),
    "approve": ("post", f"{ONE}/approve", {"reason": "better", **PLAN}, True),
    "retire": ("post", f"{ONE}/retire", {"reason": "old"}, False),
    "rollback": ("post", f"{ONE}/rollback", {}, False),
    "route": ("post", f"{ONE}/routes", {"kind": "shadow"}, False),
    "compare": ("post", f"{ONE}/comparisons", {"against": "2.2.0"}, False),
    "known": ("post", f"{BASE}/known-cases", {"table": "study,positive\n"}, False),
    "upload": ("post", f"{BASE}/uploads", {"file_name": "a", "size": 1, "sha256": "0" * 64}, False),
}


@pytest.fixture(autouse=True)
def every_version_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (switching, routes):
        monkeypatch.setattr(module, "prove", lambda version: None)


@pytest.fixture
def old() -> ModelVersion:
    return factories.model_version("ultrasound", "US", "2.2.0")


@pytest.fixture
def new(old: ModelVersion) -> ModelVersion:
    found = factories.model_version("ultrasound", "US", "2.2.1", is_default=False)
    ModelVersion.objects.filter(pk=found.pk).update(state=State.VERIFIED, came_with_installation=False)
    return found


def session(role: str = Role.ADMINISTRATOR) -> Client:
    client = Client()
    client.force_login(factories.user(role))
    return client


def ask(client: Client, name: str) -> Any:
    method, path, body, _lead = CALLS[name]
    return client.get(path) if method == "get" else client.post(path, body, content_type="application/json")


@pytest.mark.parametrize("name", CALLS)
def test_who_may_what(new: ModelVersion, name: str) -> None:
    for role in set(Role.values) - {Role.ADMINISTRATOR, Role.CLINICAL_LEAD}:
        assert ask(session(role), name).status_code == 403, role
    assert (ask(session(Role.CLINICAL_LEAD), name).status_code != 403) == CALLS[name][3]
    token = token_for(factories.user(Role.INTEGRATOR), Scope.STUDIES_READ, Scope.STUDIES_WRITE)
    assert ask(Client(headers={"Authorization": f"Bearer {token}"}), name).status_code == 403
    assert ask(Client(), name).status_code == 401


def test_from_verified_to_default_and_back(old: ModelVersion, new: ModelVersion) -> None:
    administrator, lead = session(), session(Role.CLINICAL_LEAD)
    post = {"content_type": "application/json"}
    assert ask(administrator, "approve").json()["state"] == "verified"
    again = ask(administrator, "approve")
    assert (again.status_code, again.json()["type"]) == (409, "urn:cad:problem:same_person")
    body = lead.post(f"{ONE}/approve", {"reason": "agreed"}, **post).json()
    assert (body["state"], [each["role"] for each in body["approvals"]]) == (
        "approved",
        ["administrator", "clinical_lead"],
    )
    assert body["missing"] == ["It was not compared with 2.2.0 on the reference set."]
    shadow = ask(administrator, "route").json()
    assert (shadow["kind"], shadow["site"], shadow["version"]) == ("shadow", None, "2.2.1")
    canary = administrator.post(f"{ONE}/routes", {"kind": "canary", "percent": 10}, **post).json()
    assert {each["kind"] for each in ask(lead, "routes").json()["results"]} == {"shadow", "canary"}
    assert administrator.delete(f"{BASE}/routes/{canary['id']}").status_code == 204
    assert administrator.delete(f"{BASE}/routes/{canary['id']}").status_code == 404
    refused = administrator.post(f"{ONE}/default", {}, **post)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:cad:problem:not_shown_equal")
    Comparison.objects.create(
        version=new, against=old, positives=9, negatives=9, auc=0.9, auc_against=0.9, low=0.0
    )
    assert administrator.post(f"{ONE}/default", {"reason": "no worse"}, **post).json()["previous"] == "2.2.0"
    assert not ModelRoute.objects.exists()
    assert ask(administrator, "retire").status_code == 409
    back = ask(administrator, "rollback").json()
    assert (back["version"], back["is_default"]) == ("2.2.0", True)
    assert ask(administrator, "retire").json()["state"] == "retired"


def test_an_examination_is_asked_for_once(new: ModelVersion) -> None:
    administrator = session()
    for _ in range(2):
        answer = ask(administrator, "verify")
        assert (answer.status_code, answer.json()["verification"]["state"]) == (202, "waiting")
    (asked,) = Verification.objects.all()
    assert [event.payload for event in OutboxEvent.objects.filter(topic="model.verify")] == [
        {"verification_id": str(asked.pk)}
    ]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (f"{ONE}/routes", {"kind": "canary"}, "percent"),
        (f"{ONE}/routes", {"kind": "canary", "percent": 100}, "percent"),
        (f"{ONE}/routes", {"kind": "default"}, "site"),
        (f"{ONE}/routes", {"kind": "shadow", "site": "nowhere"}, "site"),
        (f"{ONE}/routes", {"kind": "best"}, "kind"),
        (f"{ONE}/approve", {"reason": " ", **PLAN}, "reason"),
        (f"{ONE}/retire", {}, "reason"),
        (f"{BASE}/uploads", {"file_name": "a", "size": 1, "sha256": "x"}, "sha256"),
        (f"{BASE}/uploads", {"file_name": "a", "size": 0, "sha256": "0" * 64}, "size"),
    ],
)
def test_what_is_wrong_is_named(new: ModelVersion, path: str, body: Any, field: str) -> None:
    answer = session().post(path, body, content_type="application/json")
    assert answer.status_code == 422, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [field]
