"""Roles through the API: given and taken with a reason, by administrators alone, never one's own."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cad_platform.accounts.models import Role, RoleChange, Scope, Site, User
from tests import factories
from tests.posted_files import token_for

pytestmark = pytest.mark.django_db
BASE = "/api/v1/roles"


@pytest.fixture
def site() -> Site:
    return factories.site()


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def give(client: Client, user: User, role: str, site: str | None, reason: str = "Board certified.") -> Any:
    body = {"role": role, "site": site, "reason": reason}
    return client.put(f"{BASE}/{user.pk}", body, content_type="application/json")


def take(client: Client, user: User, reason: str = "Left the house.") -> Any:
    return client.post(f"{BASE}/{user.pk}/take", {"reason": reason}, content_type="application/json")


def test_given_and_taken_with_a_reason(site: Site) -> None:
    person, administrator = factories.user(Role.SONOGRAPHER, site), factories.user(Role.ADMINISTRATOR)
    client = signed_in(administrator)
    listed = client.get(BASE).json()
    assert {(each["id"], each["role"], each["site"]) for each in listed["results"]} == {
        (person.pk, "sonographer", site.code),
        (administrator.pk, "administrator", None),
    }
    given = give(client, person, "radiologist", site.code)
    assert given.status_code == 200 and given.json()["role"] == "radiologist", given.content
    assert give(client, person, "radiologist", site.code).status_code == 200  # no change
    taken = take(client, person)
    assert taken.json()["active"] is False
    told = [(each["role_before"], each["role"], each["reason"]) for each in taken.json()["changes"]]
    assert told == [
        ("radiologist", None, "Left the house."),
        ("sonographer", "radiologist", "Board certified."),
    ]
    assert take(client, person).status_code == 409
    assert client.get(f"{BASE}/{person.pk}").json() == taken.json()


def test_what_is_refused(site: Site) -> None:
    person, administrator = factories.user(Role.SONOGRAPHER, site), factories.user(Role.ADMINISTRATOR)
    client = signed_in(administrator)
    assert give(client, person, "radiologist", site.code, " ").status_code == 422
    assert give(client, person, "king", site.code).status_code == 422
    assert give(client, person, "radiologist", None).status_code == 422
    assert give(client, person, "administrator", site.code).status_code == 422
    assert give(client, person, "radiologist", "nowhere").status_code == 404
    assert give(client, administrator, "radiologist", site.code).status_code == 409
    assert take(client, administrator).status_code == 409
    assert client.get(f"{BASE}/{10**30}").status_code == 404
    assert not RoleChange.objects.exclude(role_before="").exists()


def test_only_for_administrators_with_a_session(site: Site) -> None:
    person = factories.user(Role.SONOGRAPHER, site)
    others = [role for role in Role.values if role != Role.ADMINISTRATOR]
    clients = [(403, signed_in(factories.user(role, site))) for role in others]
    token = token_for(factories.user(Role.RADIOLOGIST, site), Scope.STUDIES_READ, Scope.STUDIES_WRITE)
    clients += [(403, Client(headers={"Authorization": f"Bearer {token}"})), (401, Client())]
    for status, client in clients:
        answers = [
            client.get(BASE),
            client.get(f"{BASE}/{person.pk}"),
            give(client, person, "administrator", None),
        ]
        assert {answer.status_code for answer in [*answers, take(client, person)]} == {status}
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(factories.user(Role.ADMINISTRATOR))
    assert give(strict, person, "radiologist", site.code).status_code == 403
    person.refresh_from_db()
    assert person.is_active and person.role == Role.SONOGRAPHER
