"""Wrong passwords cost time, by account and by real address, and never keep a hospital out."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts import sign_in_limits
from cad_platform.accounts.models import Role, SignInCount, User
from cad_platform.accounts.sign_in_limits import FREE_OF_ACCOUNT, FREE_OF_ADDRESS, Attempt, Wait
from cad_platform.audit.models import AuditEvent
from tests import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> User:
    return make.user(Role.RADIOLOGIST)


def sign_in(username: str, password: str = make.PASSWORD, address: str = "10.1.1.1", **headers: Any) -> Any:
    return Client().post(
        reverse("account_login"),
        {"login": username, "password": password},
        REMOTE_ADDR=address,
        headers=headers,
    )


def guess(username: str, times: int, address: str = "10.1.1.1") -> None:
    for _ in range(times):
        sign_in(username, "not it at all", address)


def let_pass(**time: float) -> None:
    SignInCount.objects.update(failed_at=F("failed_at") - timedelta(**time))


def test_the_pause_grows_and_the_right_password_ends_it(reader: User) -> None:
    waits = []
    for _ in range(FREE_OF_ACCOUNT + 4):
        while isinstance(begun := sign_in_limits.begin(reader.username, "10.1.1.1"), Wait):
            waits.append(begun.seconds)
            let_pass(seconds=begun.seconds)
    assert waits == [5, 10, 20, 40]
    assert sign_in(reader.username).status_code == 200  # must wait, whatever the password
    let_pass(minutes=15)
    assert sign_in(reader.username).status_code == 302
    assert sign_in(reader.username).status_code == 302


def test_the_page_says_how_long_to_wait(reader: User) -> None:
    guess(reader.username, FREE_OF_ACCOUNT + 1)
    said = sign_in(reader.username).content.decode()
    assert "Too many wrong passwords: wait" in said
    # As for a name that nobody has: nothing is learnt of which names exist.
    guess("nobody-of-this-name", FREE_OF_ACCOUNT + 1)
    assert "Too many wrong passwords: wait" in sign_in("Nobody-of-this-NAME").content.decode()


def test_no_wrong_password_keeps_anybody_else_out(reader: User) -> None:
    """The whole hospital behind one address."""
    colleague = make.user(Role.PATHOLOGIST, reader.site)
    guess(reader.username, 30)
    assert sign_in(colleague.username).status_code == 302
    assert sign_in(reader.username).status_code == 200


def test_others_who_guess_keep_nobody_out_of_their_own_workplace(reader: User) -> None:
    assert sign_in(reader.username, address="10.1.1.1").status_code == 302
    guess(reader.username, 30, address="192.0.2.66")
    assert sign_in(reader.username, address="192.0.2.66").status_code == 200
    assert sign_in(reader.username, address="10.1.1.1").status_code == 302


def test_one_address_tries_many_names_and_those_who_work_there_still_get_in(reader: User) -> None:
    assert sign_in(reader.username).status_code == 302
    for number in range(FREE_OF_ADDRESS):
        assert isinstance(sign_in_limits.begin(f"name-{number}", "10.1.1.1"), Attempt)
    assert isinstance(sign_in_limits.begin("one-more", "10.1.1.1"), Wait)
    assert isinstance(sign_in_limits.begin("one-more", "10.1.1.2"), Attempt)
    assert sign_in(reader.username).status_code == 302
    let_pass(minutes=10)
    assert isinstance(sign_in_limits.begin("yet-one-more", "10.1.1.1"), Attempt)


def test_a_forged_address_is_neither_believed_nor_recorded(reader: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.1"]
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    sign_in(reader.username, "wrong", "127.0.0.1", **forged)
    sign_in(reader.username, "wrong", "10.1.1.1", **forged)
    # Behind our proxy: what the caller wrote stands to the left of what the proxy saw.
    sign_in(reader.username, "wrong", "10.0.0.1", **{"X-Forwarded-For": "203.0.113.9, 10.7.7.7"})
    tried = AuditEvent.objects.filter(action="user.sign_in").order_by("pk").values_list("address", flat=True)
    assert list(tried) == ["127.0.0.1", "10.1.1.1", "10.7.7.7"]
    assert set(SignInCount.objects.exclude(address=None).values_list("address", flat=True)) == set(tried)


@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7:50123", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::7]:50123", "2001:db8::7"),
        ("::ffff:10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_of_ours(
    peer: str, forwarded: str, seen: str, reader: User, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "fd00::/8"]
    sign_in(reader.username, "wrong", peer, **{"X-Forwarded-For": forwarded})
    assert AuditEvent.objects.get(action="user.sign_in").address == seen


def test_a_customer_s_ipv6_network_counts_as_one(reader: User) -> None:
    for number in range(FREE_OF_ADDRESS):
        sign_in_limits.begin(f"name-{number}", f"2001:db8:0:1::{number + 1:x}")
    assert isinstance(sign_in_limits.begin("one-more", "2001:db8:0:1:ffff::1"), Wait)
    assert isinstance(sign_in_limits.begin("one-more", "2001:db8:0:2::1"), Attempt)


def test_counts_that_say_nothing_any_more_are_deleted(reader: User) -> None:
    sign_in(reader.username)
    guess("somebody-else", 3)
    let_pass(hours=25)
    assert sign_in_limits.purge() > 0
    assert [row.succeeded_at is not None for row in SignInCount.objects.all()] == [True]
    SignInCount.objects.update(succeeded_at=timezone.now() - timedelta(days=31))
    sign_in_limits.purge()
    assert not SignInCount.objects.exists()


def test_nothing_that_was_typed_is_kept(reader: User) -> None:
    guess("my-own-password-by-mistake", 1)
    assert "mistake" not in str(list(SignInCount.objects.values()))


@pytest.mark.django_db(transaction=True)
def test_guesses_at_the_same_time_count_each_other() -> None:
    """Also those through different replicas: the counts are rows."""
    username, began, barrier = "somebody", [], threading.Barrier(8)

    def attempt() -> None:
        barrier.wait(60)
        try:
            began.append(sign_in_limits.begin(username, "10.1.1.1"))
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(each, Attempt) for each in began) == FREE_OF_ACCOUNT
