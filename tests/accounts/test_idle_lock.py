"""A workplace where nobody moves is locked by the server: it is answered nothing but its unlocking."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts import idle_lock
from cad_platform.accounts.models import Role, SessionActivity, User
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from tests import factories as make

HTML = {"Accept": "text/html"}
SCRIPT = {"X-Requested-With": "XMLHttpRequest"}


def page_of(user: User) -> dict[str, str]:
    return {"X-CAD-Page-User": str(user.pk)}


def pass_time(client: Client, minutes: float) -> None:
    at = timezone.now() - timedelta(minutes=minutes)
    SessionActivity.objects.filter(session_key=client.session.session_key).update(active_at=at)


def state(client: Client) -> dict[str, Any]:
    return dict(client.get(reverse("session-state")).json())


@pytest.fixture
def reader(db: None) -> User:
    return make.user(Role.RADIOLOGIST)


@pytest.fixture
def browser(reader: User) -> Client:
    client = Client(headers=HTML)
    client.force_login(reader)
    assert client.get(reverse("worklist")).status_code == 200
    return client


def test_after_the_site_s_time_nothing_is_answered_but_the_unlocking(browser: Client, reader: User) -> None:
    pass_time(browser, 14)
    assert browser.get(reverse("worklist"), headers=page_of(reader)).status_code == 200
    pass_time(browser, 15.1)
    answer = browser.get(reverse("worklist"), headers=page_of(reader))
    assert (answer.status_code, answer.json()["type"]) == (423, "urn:cad:problem:session_locked")
    assert browser.get("/api/v1/studies", headers={"Accept": "application/json"}).status_code == 423
    answer = browser.get("/worklist/?state=open")
    assert answer["Location"] == "/accounts/session/unlock/?next=%2Fworklist%2F%3Fstate%3Dopen"
    assert browser.post(reverse("set_language"), {"language": "en"}).status_code == 423
    assert state(browser)["is_locked"]
    page = browser.get(answer["Location"]).content.decode()
    assert reader.printed_name in page and "/worklist/?state=open" in page
    assert AuditEvent.objects.filter(action="user.lock", actor=reader).count() == 1


def test_what_a_page_asks_by_itself_is_no_sign_of_life(browser: Client, reader: User) -> None:
    pass_time(browser, 10)
    for address in (reverse("worklist"), reverse("session-state")):
        browser.get(address, headers=page_of(reader))
    assert state(browser)["seconds_left"] < 5.1 * 60
    browser.post(reverse("session-activity"), headers=page_of(reader))
    assert state(browser)["seconds_left"] > 14 * 60
    pass_time(browser, 10)
    browser.get(reverse("worklist"))
    assert state(browser)["seconds_left"] > 14 * 60, "a page that somebody opens is one"


def test_a_sign_of_life_that_comes_late_unlocks_nothing(browser: Client, reader: User) -> None:
    pass_time(browser, 16)
    browser.post(reverse("session-activity"), headers=page_of(reader))
    assert state(browser)["is_locked"]
    browser.post(reverse("session-activity"), headers=page_of(reader))
    browser.get(reverse("worklist"))
    assert state(browser)["is_locked"]


def test_the_same_person_unlocks_with_the_password_and_goes_on(browser: Client, reader: User) -> None:
    browser.post(reverse("session-lock"), headers=page_of(reader))
    assert state(browser)["is_locked"]
    url = reverse("session-unlock")
    wrong = browser.post(url, {"password": "not it"}, headers=SCRIPT)
    assert wrong.status_code == 400 and "The password is wrong." in wrong.json()["html"]
    assert "Nothing was signed" not in wrong.json()["html"]
    assert browser.post(url, {"password": "not it"}).status_code == 422  # pragma: allowlist secret
    answer = browser.post(url, {"password": make.PASSWORD, "next": "/worklist/"})
    assert (answer.status_code, answer["Location"]) == (302, "/worklist/")
    assert browser.get(reverse("worklist")).status_code == 200
    outcomes = AuditEvent.objects.filter(action="user.unlock_session", actor=reader).order_by("pk")
    assert [event.outcome for event in outcomes] == ["wrong_password", "wrong_password", "success"]


@pytest.mark.parametrize(
    "onward", ["https://elsewhere.test/", "//elsewhere.test/", "javascript:alert(1)", ""]
)
def test_unlocking_leads_nowhere_else(browser: Client, reader: User, onward: str) -> None:
    browser.post(reverse("session-lock"))
    answer = browser.post(reverse("session-unlock"), {"password": make.PASSWORD, "next": onward})
    assert answer["Location"] == "/"


def test_guessing_at_a_locked_workplace_is_limited(browser: Client) -> None:
    browser.post(reverse("session-lock"))
    for _ in range(5):
        browser.post(reverse("session-unlock"), {"password": "guess"})  # pragma: allowlist secret
    answer = browser.post(reverse("session-unlock"), {"password": make.PASSWORD})
    assert answer.status_code == 422 and "Too many wrong passwords" in answer.content.decode()
    assert state(browser)["is_locked"]


def test_somebody_else_takes_a_locked_workplace_over(browser: Client, reader: User) -> None:
    other = make.user(Role.RADIOLOGIST, reader.site)
    browser.post(reverse("session-lock"))
    browser.post(reverse("session-hand-over"), headers=page_of(reader))
    browser.post(reverse("account_login"), {"login": other.username, "password": make.PASSWORD})
    assert browser.get(reverse("worklist")).status_code == 200, "the lock was the other's"
    assert browser.get(reverse("worklist"), headers=page_of(reader)).status_code == 409


def test_signing_in_anew_is_not_locked_and_each_session_has_its_own(browser: Client, reader: User) -> None:
    browser.post(reverse("session-lock"))
    elsewhere = Client()
    elsewhere.post(reverse("account_login"), {"login": reader.username, "password": make.PASSWORD})
    assert elsewhere.get(reverse("worklist")).status_code == 200
    assert state(browser)["is_locked"]


def test_a_site_may_never_lock_and_administrators_have_the_platform_s_time(
    browser: Client, reader: User, settings: Any
) -> None:
    reader.site.idle_lock_minutes = 0
    reader.site.save()
    pass_time(browser, 10_000)
    assert state(browser)["seconds_left"] is None and not state(browser)["is_locked"]
    settings.IDLE_LOCK_MINUTES = 5
    administrator = Client()
    administrator.force_login(make.user(Role.ADMINISTRATOR))
    administrator.get(reverse("users"))
    pass_time(administrator, 6)
    assert state(administrator)["is_locked"]


def test_the_time_is_said_on_the_site_s_page_within_bounds(reader: User) -> None:
    administrator = Client()
    administrator.force_login(make.user(Role.ADMINISTRATOR))
    url = reverse("site", args=[reader.site_id])
    initial = administrator.get(url).context["form"].initial
    for minutes, status in (("5", 302), ("0", 302), ("481", 422), ("-1", 422)):
        assert administrator.post(url, {**initial, "idle_lock_minutes": minutes}).status_code == status
    reader.site.refresh_from_db()
    assert reader.site.idle_lock_minutes == 0


@pytest.mark.django_db(transaction=True)
def test_a_sign_of_life_under_way_does_not_undo_a_lock_that_falls() -> None:
    """Each in a thread of its own, again and again: whoever locked finds it locked."""
    reader = make.user(Role.RADIOLOGIST)
    actor = Actor.of_user(reader)
    wrong: list[int] = []

    def live(key: str, start: threading.Barrier) -> None:
        start.wait()
        idle_lock.state_of_lock(actor, key)
        idle_lock.note_activity(actor, key)
        connection.close()

    def fall(key: str, start: threading.Barrier, turn: int) -> None:
        start.wait()
        idle_lock.lock(actor, key)
        if not idle_lock.state_of_lock(actor, key).is_locked:
            wrong.append(turn)
        connection.close()

    for turn in range(12):
        key = f"{turn:032d}"
        at = timezone.now() - timedelta(minutes=10)
        SessionActivity.objects.create(session_key=key, user=reader, active_at=at)
        start = threading.Barrier(3)
        threads = [
            threading.Thread(target=live, args=(key, start)),
            threading.Thread(target=live, args=(key, start)),
            threading.Thread(target=fall, args=(key, start, turn)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert idle_lock.state_of_lock(actor, key).is_locked
    assert wrong == []
    assert AuditEvent.objects.filter(action="user.lock").count() == 12


@pytest.mark.django_db(transaction=True)
def test_two_requests_that_find_the_time_over_lock_once() -> None:
    reader = make.user(Role.RADIOLOGIST)
    actor, key = Actor.of_user(reader), "k" * 32
    SessionActivity.objects.create(
        session_key=key, user=reader, active_at=timezone.now() - timedelta(minutes=16)
    )
    start = threading.Barrier(2)
    found: list[bool] = []

    def ask() -> None:
        start.wait()
        found.append(idle_lock.state_of_lock(actor, key).is_locked)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True, True]
    assert AuditEvent.objects.filter(action="user.lock").count() == 1
