"""Sites through the API and the page: made, changed, closed and opened, by administrators alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role, Scope, Site
from cad_platform.audit.models import AuditEvent
from tests import factories
from tests.posted_files import token_for

pytestmark = pytest.mark.django_db
BASE = "/api/v1/sites"
CHANGE = {
    "name": "Riverside Hospital", "default_issuer": "RIV", "default_character_set": "GB18030",
    "false_marks_per_exam": 2.0, "time_zone": "Asia/Shanghai", "idle_lock_minutes": 5,
}  # fmt: skip


@pytest.fixture
def site() -> Site:
    return factories.site()


def signed_in(role: str, site: Site | None = None) -> Client:
    client = Client()
    client.force_login(factories.user(role, site))
    return client


def send(client: Client, path: str = "", body: Any = None, method: str = "post") -> Any:
    return getattr(client, method)(f"{BASE}{path}", body, content_type="application/json")


def actions() -> list[str]:
    return list(AuditEvent.objects.filter(object_type="site").order_by("pk").values_list("action", flat=True))


def test_a_site_is_made_changed_and_listed() -> None:
    client = signed_in(Role.ADMINISTRATOR)
    made = send(client, body={"code": "riverside", "name": "Riverside", "time_zone": "Europe/London"})
    assert made.status_code == 201 and made.json()["active"] is True, made.content
    assert send(client, body={"code": "riverside", "name": "Another"}).status_code == 409
    changed = send(client, "/riverside", CHANGE, "put")
    assert changed.status_code == 200 and changed.json() == made.json() | CHANGE
    assert send(client, "/riverside", CHANGE, "put").json() == changed.json()
    assert client.get(f"{BASE}/riverside").json() == changed.json()
    assert changed.json() in client.get(BASE).json()["results"]
    assert actions() == ["site.create", "site.update"]


def test_who_belongs_to_a_closed_site_is_not_let_in(site: Site) -> None:
    administrator, reader = signed_in(Role.ADMINISTRATOR), signed_in(Role.RADIOLOGIST, site)
    token = token_for(factories.user(Role.INTEGRATOR, site), Scope.STUDIES_READ)
    system = Client(headers={"Authorization": f"Bearer {token}"})
    assert (reader.get(reverse("worklist")).status_code, system.get("/api/v1/studies").status_code) == (
        200,
        200,
    )
    for _ in range(2):
        assert send(administrator, f"/{site.code}/deactivate").json()["active"] is False
    assert reader.get(reverse("worklist")).status_code == 302
    assert (reader.get("/api/v1/studies").status_code, system.get("/api/v1/studies").status_code) == (
        401,
        401,
    )
    person = factories.user(Role.RADIOLOGIST, site, username="of.the.closed")
    form = {"login": "of.the.closed", "password": factories.PASSWORD}
    browser = Client()
    assert browser.post(reverse("account_login"), form).url == reverse("account_inactive")  # type: ignore[attr-defined]
    assert not browser.session.get("_auth_user_id")
    assert not AuditEvent.objects.filter(action="user.sign_in", outcome="success", actor=person).exists()
    assert send(administrator, f"/{site.code}/activate").json()["active"] is True
    browser.post(reverse("account_login"), form)
    assert browser.session["_auth_user_id"] == str(person.pk)
    assert system.get("/api/v1/studies").status_code == 200
    assert actions() == ["site.deactivate", "site.activate"]


def test_nobody_is_given_a_role_at_a_closed_site(site: Site) -> None:
    administrator, person = signed_in(Role.ADMINISTRATOR), factories.user(Role.RADIOLOGIST, factories.site())
    body = {"role": "radiologist", "site": site.code, "reason": "Moved."}
    send(administrator, f"/{site.code}/deactivate")
    given = administrator.put(f"/api/v1/roles/{person.pk}", body, content_type="application/json")
    assert given.status_code == 404


def test_the_page_closes_and_opens(site: Site) -> None:
    administrator = signed_in(Role.ADMINISTRATOR)
    for access, active in (("deactivate", False), ("activate", True)):
        answer = administrator.post(reverse("site-access", args=[site.pk]), {"access": access}, follow=True)
        site.refresh_from_db()
        assert answer.status_code == 200 and site.is_active is active
        assert ("Deactivated</span>" in answer.content.decode()) is not active
    assert signed_in(Role.RADIOLOGIST, site).post(reverse("site-access", args=[site.pk])).status_code == 403
    site.refresh_from_db()
    assert site.is_active


@pytest.mark.parametrize(
    "change",
    [
        {"name": " "}, {"name": "x" * 201}, {"default_character_set": "KLINGON"}, {"false_marks_per_exam": 3.3},
        {"time_zone": "Mars/North"}, {"idle_lock_minutes": -1}, {"idle_lock_minutes": 481}, {"code": "other"},
        {"name": "a\x00b"},
    ],
)  # fmt: skip
def test_what_a_site_cannot_be(site: Site, change: dict[str, Any]) -> None:
    answer = send(signed_in(Role.ADMINISTRATOR), f"/{site.code}", CHANGE | change, "put")
    assert answer.status_code == 422, answer.content
    assert actions() == []


@pytest.mark.parametrize("code", ["", "two words", "a/b", "x" * 41, "河"])
def test_what_a_code_cannot_be(code: str) -> None:
    assert send(signed_in(Role.ADMINISTRATOR), body={"code": code, "name": "X"}).status_code == 422


def test_only_for_administrators_with_a_session(site: Site) -> None:
    others = [role for role in Role.values if role != Role.ADMINISTRATOR]
    clients = [(403, signed_in(role, site)) for role in others]
    token = token_for(factories.user(Role.INTEGRATOR, site), Scope.STUDIES_READ, Scope.STUDIES_WRITE)
    clients += [(403, Client(headers={"Authorization": f"Bearer {token}"})), (401, Client())]
    for status, client in clients:
        answers = [
            client.get(BASE),
            client.get(f"{BASE}/{site.code}"),
            send(client, body={"code": "new", "name": "New"}),
            send(client, f"/{site.code}", CHANGE, "put"),
            send(client, f"/{site.code}/deactivate"),
            send(client, f"/{site.code}/activate"),
        ]
        assert {answer.status_code for answer in answers} == {status}
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(factories.user(Role.ADMINISTRATOR))
    assert send(strict, f"/{site.code}/deactivate").status_code == 403
    assert actions() == [] and Site.objects.get().is_active
    administrator = signed_in(Role.ADMINISTRATOR)
    for path, method in (("/nowhere", "get"), ("/nowhere/deactivate", "post"), ("/%00", "get")):
        assert send(administrator, path, method=method).status_code == 404
