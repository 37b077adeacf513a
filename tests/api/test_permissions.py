"""Every address × every role × both sites: who may, who may not, and for whom it does not exist."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cad_platform.accounts.models import Role, Scope, Site
from cad_platform.studies.models import Instance, Study
from tests import factories
from tests.posted_files import Hospital, png, token_for

pytestmark = pytest.mark.django_db

CLINICIANS = {Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER, Role.CLINICAL_LEAD}
READERS = CLINICIANS | {Role.INTEGRATOR}
IMAGE = ("metadata", "pixels", "thumbnail", "rendered", "file")

#: name → (method, path, body, the roles that may)
ADDRESSES: dict[str, tuple[str, str, Any, set[Role]]] = {
    "list": ("get", "/api/v1/studies", None, READERS),
    "search": ("post", "/api/v1/studies/search", {"patient_id": "nobody"}, READERS),
    "study": ("get", "/api/v1/studies/{uid}", None, READERS),
    "withdraw": ("post", "/api/v1/studies/{uid}/withdraw", {"reason": "wrong patient"}, CLINICIANS),
    **{name: ("get", f"/api/v1/images/{{image}}/{name}", None, READERS) for name in IMAGE},
}
OF_ONE_STUDY = [name for name, (_, path, _, _) in ADDRESSES.items() if "{" in path]


@pytest.fixture
def here() -> Site:
    return factories.site()


@pytest.fixture
def study(here: Site) -> Study:
    Hospital(here).post(files={"a.png": png()})
    return Study.objects.get()


def ask(client: Client, name: str, study: Study | None) -> Any:
    method, path, body, _ = ADDRESSES[name]
    if study is not None:
        path = path.format(uid=study.study_instance_uid, image=Instance.objects.get().pk)
    if method == "get":
        return client.get(path)
    return client.post(path, body, content_type="application/json")


def with_session(role: str, site: Site) -> Client:
    client = Client()
    client.force_login(factories.user(role, site))
    return client


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("name", ADDRESSES)
def test_at_the_own_site(name: str, role: str, here: Site, study: Study) -> None:
    answer = ask(with_session(role, here), name, study)
    if role in ADDRESSES[name][3]:
        assert answer.status_code == 200, answer.content
    else:
        # An administrator has no site, so that studies do not even exist for them.
        assert answer.status_code in ({403, 404} if role == Role.ADMINISTRATOR else {403}), name


@pytest.mark.parametrize("role", sorted(READERS))
@pytest.mark.parametrize("name", OF_ONE_STUDY)
def test_another_sites_objects_do_not_exist(name: str, role: str, study: Study) -> None:
    answer = ask(with_session(role, factories.site()), name, study)
    assert answer.status_code == (403 if role not in ADDRESSES[name][3] and name == "withdraw" else 404) or (
        answer.status_code == 404
    )
    assert study.study_instance_uid not in answer.content.decode()


@pytest.mark.parametrize("name", ADDRESSES)
def test_nobody_is_401(name: str, study: Study) -> None:
    answer = ask(Client(), name, study)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_token_does_only_what_its_scopes_say(name: str, here: Site, study: Study) -> None:
    for role in (Role.INTEGRATOR, Role.RADIOLOGIST):
        user = factories.user(role, here)
        reading = Client(headers={"Authorization": f"Bearer {token_for(user, Scope.STUDIES_READ)}"})
        posting = Client(headers={"Authorization": f"Bearer {token_for(user, Scope.STUDIES_WRITE)}"})
        # Withdrawing is a person's act: no token does it, not even a clinician's.
        assert ask(reading, name, study).status_code == (403 if name == "withdraw" else 200)
        assert ask(posting, name, study).status_code == 403


def test_a_session_needs_its_csrf_token_to_write(here: Site, study: Study) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(factories.user(Role.RADIOLOGIST, here))
    assert ask(client, "withdraw", study).status_code == 403
    study.refresh_from_db()
    assert study.withdrawn_at is None
