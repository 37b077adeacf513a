"""`/api/v1/models`: for administrators with a session, and for nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cad_platform.accounts.models import Role, Scope
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.registry.health import component_of
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import routed_versions
from cad_platform.registry.services import register_from_store
from cad_platform.registry.switching import make_default
from tests import factories
from tests.posted_files import token_for
from tests.registry.conftest import Store, store  # noqa: F401

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")
BASE = "/api/v1/models"

#: name → (method, path)
ADDRESSES = {
    "list": ("get", BASE),
    "one": ("get", f"{BASE}/ultrasound/99.0.0"),
    "register": ("post", f"{BASE}/register"),
    "default": ("post", f"{BASE}/ultrasound/99.0.0/default"),
}


@pytest.fixture
def known(store: Store) -> dict[str, ModelVersion]:  # noqa: F811
    """The default version and one that stands by, by version number."""
    store.add("99.0.0")
    versions = {version.version: version for version in register_from_store(SYSTEM).versions}
    make_default(SYSTEM, versions[store.version])
    return versions


def session(role: str = Role.ADMINISTRATOR, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(factories.user(role))
    return client


def ask(client: Client, name: str, body: Any = None) -> Any:
    method, path = ADDRESSES[name]
    if method == "get":
        return client.get(path)
    return client.post(path, *([] if body is None else [body]), content_type="application/json")


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("name", ADDRESSES)
def test_for_administrators_only(name: str, role: str, known: dict[str, ModelVersion]) -> None:
    answer = ask(session(role), name)
    if role == Role.ADMINISTRATOR or (role == Role.CLINICAL_LEAD and ADDRESSES[name][0] == "get"):
        assert answer.status_code == 200, answer.content
    else:
        assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
        assert known["99.0.0"] not in routed_versions()


@pytest.mark.parametrize("name", ADDRESSES)
def test_nobody_is_401(name: str, known: dict[str, ModelVersion]) -> None:
    answer = ask(Client(), name)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")


@pytest.mark.parametrize("name", ADDRESSES)
def test_no_token_manages_models(name: str, known: dict[str, ModelVersion]) -> None:
    user = factories.user(Role.INTEGRATOR)
    token = token_for(user, Scope.STUDIES_READ, Scope.STUDIES_WRITE)
    assert ask(Client(headers={"Authorization": f"Bearer {token}"}), name).status_code == 403


@pytest.mark.parametrize("name", ["register", "default"])
def test_a_session_needs_its_csrf_token_to_write(name: str, known: dict[str, ModelVersion]) -> None:
    assert ask(session(enforce_csrf_checks=True), name).status_code == 403
    assert known["99.0.0"] not in routed_versions()


def test_the_list_has_every_version_newest_first(
    known: dict[str, ModelVersion],
    store: Store,  # noqa: F811
) -> None:
    factories.model_version("ultrasound", "US", "9.9.0", is_default=False)
    factories.model_version("mammography")
    found = ask(session(), "list").json()["results"]
    told = [(one["name"], one["version"], one["is_default"], one["in_store"]) for one in found]
    assert told == [
        ("mammography", "1.0.0", True, False),
        ("ultrasound", "99.0.0", False, True),
        ("ultrasound", "9.9.0", False, False),
        ("ultrasound", store.version, True, True),
    ]
    default = found[3]
    assert default["serving"]["answers"] and default["serving"]["latency_ms"] > 0
    assert found[1]["serving"] == {"answers": False, "at": None, "reason": "", "latency_ms": None}
    assert (default["modality"], default["weights_sha256"]) == ("US", known[store.version].weights_sha256)
    assert default["title"] == known[store.version].manifest["title"]


def test_one_version_and_one_that_does_not_exist(known: dict[str, ModelVersion]) -> None:
    client = session()
    assert ask(client, "one").json()["version"] == "99.0.0"
    missing = client.get(f"{BASE}/ultrasound/0.0.1")
    assert (missing.status_code, missing["Content-Type"]) == (404, "application/problem+json")


def test_registering_says_what_is_new_and_what_was_refused(
    known: dict[str, ModelVersion],
    store: Store,  # noqa: F811
) -> None:
    store.add("99.1.0")
    (store.add("99.2.0") / "model.onnx").write_bytes(b"tampered")
    client = session()
    body = ask(client, "register").json()
    assert [one["version"] for one in body["new"]] == ["99.1.0"]
    assert body["known"] == 3
    assert body["refused"] == ["the weights of ultrasound 99.2.0 are not those of its manifest"]
    assert [version.version for version in routed_versions()] == [store.version]
    assert ask(client, "register").json()["new"] == []


def test_without_a_store_registering_is_refused(settings: Any, tmp_path: Any) -> None:
    settings.MODEL_STORE = tmp_path / "nowhere"
    answer = ask(session(), "register")
    assert answer.status_code == 422 and "CAD_MODEL_STORE" in answer.json()["detail"]


def test_a_served_version_becomes_the_default_with_a_reason(
    known: dict[str, ModelVersion],
    store: Store,  # noqa: F811
) -> None:
    body = ask(session(), "default", {"reason": "fewer false positives"}).json()
    assert (body["previous"], body["model"]["version"], body["model"]["is_default"]) == (
        store.version, "99.0.0", True,
    )  # fmt: skip
    assert body["model"]["serving"]["answers"]
    assert AuditEvent.objects.latest("pk").detail["reason"] == "fewer false positives"
    again = ask(session(), "default").json()
    assert again["previous"] is None and again["model"]["is_default"]


def test_a_version_that_nobody_serves_is_a_conflict(
    known: dict[str, ModelVersion],
    store: Store,  # noqa: F811
) -> None:
    store.remove("99.0.0")
    answer = ask(session(), "default")
    body = answer.json()
    assert (answer.status_code, body["type"]) == (409, "urn:cad:problem:not_served")
    assert body["detail"].startswith("ultrasound 99.0.0 cannot become the default: no model server has it.")
    assert [version.version for version in routed_versions()] == [store.version]
    told = ask(session(), "one").json()["serving"]
    assert (told["answers"], told["reason"][:15]) == (False, "not served here")


@pytest.mark.parametrize(
    ("body", "status"),
    [({"reason": "x" * 2001}, 422), ({"why": "x"}, 422), ([], 422), ("{", 400), ("[" * 100_000, 400)],
)
def test_a_body_that_is_no_reason_is_refused(known: dict[str, ModelVersion], body: Any, status: int) -> None:
    answer = ask(session(), "default", body)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert known["99.0.0"] not in routed_versions()


def test_every_operation_names_its_refusals() -> None:
    from drf_spectacular.generators import SchemaGenerator

    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    refusals = {"401", "403", "429", "503"}
    one, default = f"{BASE}/{{model}}/{{version}}", f"{BASE}/{{model}}/{{version}}/default"
    assert set(paths[BASE]["get"]["responses"]) == {"200", *refusals}
    assert set(paths[one]["get"]["responses"]) == {"200", "404", *refusals}
    assert set(paths[f"{BASE}/register"]["post"]["responses"]) == {"200", "422", *refusals}
    told = paths[default]["post"]["responses"]
    assert set(told) == {"200", "400", "404", "409", "415", "422", *refusals}
    assert "not_served" in told["409"]["description"]


def test_the_answers_are_of_their_schema(known: dict[str, ModelVersion]) -> None:
    import jsonschema
    from drf_spectacular.generators import SchemaGenerator

    schema = SchemaGenerator().get_schema(request=None, public=True)
    for name, shape in (("list", "ModelList"), ("one", "ModelAnswer"), ("default", "DefaultAnswer")):
        documented = {"$ref": f"#/components/schemas/{shape}", "components": schema["components"]}
        jsonschema.validate(ask(session(), name).json(), documented)
    assert component_of(known["99.0.0"]) == "model:ultrasound/99.0.0"
