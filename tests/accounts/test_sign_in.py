"""Signing in and out, and what a browser sees of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role, User
from tests import factories as make

pytestmark = pytest.mark.django_db


def sign_in(client: Client, username: str, password: str = make.PASSWORD) -> Any:
    return client.post(reverse("account_login"), {"login": username, "password": password})


def test_a_clinician_arrives_at_the_worklist() -> None:
    client, user = Client(), make.user(Role.RADIOLOGIST)
    sign_in(client, user.username)
    answer = client.get(reverse("home"), follow=True)
    assert answer.redirect_chain == [(reverse("worklist"), 302)]
    assert user.printed_name in answer.content.decode()


def test_a_wrong_password_is_told_without_saying_which_was_wrong() -> None:
    user = make.user(Role.RADIOLOGIST)
    known = sign_in(Client(), user.username, "not it at all")
    unknown = sign_in(Client(), "nobody-of-this-name", "not it at all")
    for answer in (known, unknown):
        assert answer.status_code == 200
        assert 'role="alert"' in answer.content.decode()


def test_nobody_signs_up() -> None:
    answer = Client().get(reverse("account_signup"))
    assert "made by your administrator" in answer.content.decode()
    Client().post(reverse("account_signup"), {"username": "x", "password1": "p", "password2": "p"})
    assert not User.objects.filter(username="x").exists()


@pytest.mark.parametrize("address", ["email/", "password/reset/", "confirm-email/", "login/code/"])
def test_what_the_platform_does_not_offer_does_not_exist(address: str) -> None:
    assert Client().get(f"/accounts/{address}").status_code == 404


def test_the_first_page_is_in_the_language_of_the_account() -> None:
    client = Client()
    sign_in(client, make.user(Role.RADIOLOGIST, language="zh-hans").username)
    assert '<html lang="zh-hans">' in client.get(reverse("worklist")).content.decode()


def test_a_language_chosen_in_the_browser_stays() -> None:
    client = Client()
    client.post(reverse("set_language"), {"language": "en", "next": "/"})
    sign_in(client, make.user(Role.RADIOLOGIST, language="zh-hans").username)
    assert '<html lang="en">' in client.get(reverse("worklist")).content.decode()


def test_signing_out_takes_a_click_not_a_link() -> None:
    client = Client()
    sign_in(client, make.user(Role.RADIOLOGIST).username)
    client.get(reverse("account_logout"))
    assert client.get(reverse("worklist")).status_code == 200
    client.post(reverse("account_logout"))
    assert client.get(reverse("worklist")).status_code == 302
