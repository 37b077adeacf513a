"""What a page is told whose session has ended or is another's: nothing of one person goes under another's name."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role, User
from cad_platform.audit.models import AuditEvent
from tests import factories as make

pytestmark = pytest.mark.django_db

HTML = {"Accept": "text/html,application/xhtml+xml"}


def page_of(user: User, **headers: str) -> dict[str, str]:
    return {"X-CAD-Page-User": str(user.pk), **headers}


def code(answer: Any) -> str:
    assert answer["Content-Type"] == "application/problem+json"
    return str(answer.json()["type"].rpartition(":")[2])


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def anna() -> User:
    return make.user(Role.RADIOLOGIST, first_name="Anna", last_name="Aho")


@pytest.fixture
def bert(anna: User) -> User:
    return make.user(Role.RADIOLOGIST, anna.site, first_name="Bert", last_name="Blom")


def test_a_page_is_told_that_its_session_has_ended_instead_of_led_to_another_page(anna: User) -> None:
    client = signed_in(anna)
    assert client.get(reverse("worklist"), headers=page_of(anna)).status_code == 200
    client.session.flush()
    for headers in (page_of(anna), page_of(anna, **HTML), page_of(anna, **{"HX-Request": "true"})):
        answer = client.get(reverse("worklist"), headers=headers)
        assert (answer.status_code, code(answer)) == (401, "signed_out")
    assert client.get(reverse("worklist")).status_code == 302, "whoever follows a link signs in"


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_page_of_one_person_asks_nothing_under_the_name_of_another(
    anna: User, bert: User, method: str
) -> None:
    client = signed_in(bert)
    answer = getattr(client, method)(reverse("set_language"), {"language": "en"}, headers=page_of(anna))
    assert (answer.status_code, code(answer)) == (409, "other_user")
    assert "Bert Blom" in answer.json()["detail"]


def test_a_plain_form_of_one_person_is_not_taken_as_another_s(anna: User, bert: User) -> None:
    client = signed_in(bert)
    form = {
        "oldpassword": make.PASSWORD,
        "password1": "another long one 8",  # pragma: allowlist secret
        "password2": "another long one 8",  # pragma: allowlist secret
    }
    answer = client.post(
        reverse("account_change_password"), {**form, "page_user": str(anna.pk)}, headers=HTML
    )
    assert answer.status_code == 409
    assert "Bert Blom is signed in now" in answer.content.decode()
    bert.refresh_from_db()
    assert bert.check_password(make.PASSWORD)
    answer = client.post(reverse("account_change_password"), {**form, "page_user": str(bert.pk)})
    assert answer.status_code == 302


@pytest.mark.parametrize("claimed", ["", "0", "abc", "-1", "9" * 40])
def test_a_page_that_names_nobody_is_nobody_else(anna: User, claimed: str) -> None:
    client = signed_in(anna)
    answer = client.get(reverse("worklist"), headers={"X-CAD-Page-User": claimed})
    assert answer.status_code == (200 if claimed == "" else 409)


def test_the_session_says_who_is_signed_in_to_every_page(anna: User, bert: User) -> None:
    client = Client()
    state = client.get(reverse("session-state"), headers=page_of(anna))
    assert state.json()["person"] is None
    assert client.cookies["cad_csrf_8000"].value, "the token of now comes with it"
    client.force_login(bert)
    state = client.get(reverse("session-state"), headers=page_of(anna))
    assert state.json()["person"] == {"id": bert.pk, "name": "Bert Blom"}
    assert "no-store" in state["Cache-Control"]


def test_a_page_signs_in_again_by_the_form_of_the_page_itself(anna: User) -> None:
    client = Client(enforce_csrf_checks=True)
    script = {"X-Requested-With": "XMLHttpRequest"}
    form = client.get(reverse("account_login"), headers=script).json()["html"]
    assert 'name="password"' in form
    token = client.cookies["cad_csrf_8000"].value
    wrong = client.post(
        reverse("account_login"),
        {"login": anna.username, "password": "not this"},  # pragma: allowlist secret
        headers={**script, "X-CSRFToken": token},
    )
    assert wrong.status_code == 400 and 'role="alert"' in wrong.json()["html"]
    right = client.post(
        reverse("account_login"),
        {"login": anna.username, "password": make.PASSWORD},
        headers={**script, "X-CSRFToken": token},
    )
    assert right.json()["location"] == "/"
    assert AuditEvent.objects.filter(action="user.sign_in", actor=anna, outcome="success").exists()
    # The token changed with it; that alone is told by its own code, to be taken up and asked again.
    stale = client.post(
        reverse("set_language"), {"language": "en"}, headers=page_of(anna, **{"X-CSRFToken": token})
    )
    assert (stale.status_code, code(stale)) == (403, "csrf_failed")
    new = client.cookies["cad_csrf_8000"].value
    assert client.post(
        reverse("set_language"), {"language": "en"}, headers=page_of(anna, **{"X-CSRFToken": new})
    ).status_code in (200, 204, 302)


def test_a_stale_token_of_a_body_is_refused_although_the_header_s_is_right(anna: User) -> None:
    """Why the scripts take it out of what they send (`server/client.ts`)."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(anna)
    client.get(reverse("session-state"))
    new = client.cookies["cad_csrf_8000"].value
    body = {"language": "en", "csrfmiddlewaretoken": "x" * 32}
    answer = client.post(reverse("set_language"), body, headers=page_of(anna, **{"X-CSRFToken": new}))
    assert code(answer) == "csrf_failed"


def test_who_sits_down_at_another_s_page_signs_them_out_first(anna: User, bert: User) -> None:
    client = signed_in(bert)
    assert client.post(reverse("session-hand-over"), headers=page_of(anna)).status_code == 302
    assert client.get(reverse("session-state")).json()["person"] is None
    assert AuditEvent.objects.filter(action="user.sign_out", actor=bert).count() == 1


def test_a_token_of_a_system_has_no_page(anna: User) -> None:
    answer = Client().get("/api/v1/studies", headers={"Authorization": "Bearer nonsense"})
    assert answer.json()["type"].endswith("invalid_token")
