"""A password that an administrator gave is good for choosing one's own: nobody signs as another by way of a reset."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts import one_time, services
from cad_platform.accounts.models import Role, Site, User
from cad_platform.accounts.reauthentication import reauthenticate
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotPermitted
from tests import factories as make

pytestmark = pytest.mark.django_db

ONE_TIME, OWN = "given by somebody 1", "nobody else knows 2"


@pytest.fixture(autouse=True)
def _no_limits() -> None:
    cache.clear()


@pytest.fixture
def site() -> Site:
    return make.site()


@pytest.fixture
def administrator() -> Actor:
    return make.actor(Role.ADMINISTRATOR)


def sign_in(client: Client, user: User, password: str) -> Any:
    return client.post(reverse("account_login"), {"login": user.username, "password": password})


def choose(client: Client, password: str = OWN) -> Any:
    return client.post(reverse("own-password"), {"password1": password, "password2": password})


def sign(user: User, password: str) -> None:
    user.refresh_from_db()
    study = make.study(user.site)
    reauthenticate(
        Actor.of_user(user), password, purpose="report.sign", object_type="report", object_id=1, study=study
    )


def new_user(administrator: Actor, site: Site) -> User:
    return services.create_user(
        administrator, username="dr.new", password=ONE_TIME, role=Role.RADIOLOGIST, site=site
    )


def used(user: User) -> User:
    """Somebody who has signed in before."""
    user.last_login = timezone.now() - timedelta(days=30)
    user.save()
    return user


def test_a_new_person_is_led_to_choose_a_password_and_reaches_nothing_else(
    administrator: Actor, site: Site
) -> None:
    user, client = new_user(administrator, site), Client(headers={"Accept": "text/html"})
    assert sign_in(client, user, ONE_TIME).status_code == 302
    for address in ("/", "/worklist/", "/accounts/keyboard/", "/accounts/password/change/"):
        assert client.get(address)["Location"] == reverse("own-password"), address
    answer = client.get("/api/v1/studies", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:cad:problem:password_due")
    assert client.post(reverse("set_language"), {"language": "en"}).status_code == 403
    page = client.get(reverse("own-password")).content.decode()
    assert "Choose a password of your own" in page
    assert choose(client).status_code == 302
    assert client.get("/worklist/").status_code == 200
    user.refresh_from_db()
    assert user.check_password(OWN) and not user.must_change_password
    assert AuditEvent.objects.filter(action="user.change_password", actor=user).count() == 1
    sign(user, OWN)
    assert client.get(reverse("own-password"))["Location"] == "/", "once"


@pytest.mark.parametrize(
    ("first", "second"), [(ONE_TIME, ONE_TIME), ("short", "short"), (OWN, "another 12345"), ("", "")]
)
def test_the_own_password_is_another_good_and_said_twice(
    administrator: Actor, site: Site, first: str, second: str
) -> None:
    user, client = new_user(administrator, site), Client()
    sign_in(client, user, ONE_TIME)
    answer = client.post(reverse("own-password"), {"password1": first, "password2": second})
    assert answer.status_code == 422
    user.refresh_from_db()
    assert user.must_change_password and user.check_password(ONE_TIME)


def test_nobody_signs_with_a_one_time_password(administrator: Actor, site: Site) -> None:
    user = new_user(administrator, site)
    with pytest.raises(NotPermitted) as refused:
        sign(user, ONE_TIME)
    assert refused.value.code == "password_due"
    assert AuditEvent.objects.filter(action="report.sign", outcome="password_due").count() == 1


def test_a_one_time_password_expires(administrator: Actor, site: Site) -> None:
    user, client = new_user(administrator, site), Client()
    user.one_time_until = timezone.now() - timedelta(seconds=1)
    user.save()
    answer = sign_in(client, user, ONE_TIME)
    assert answer.status_code == 200 and "no longer valid" in answer.content.decode()
    assert client.get("/worklist/").status_code == 302
    assert AuditEvent.objects.filter(action="user.sign_in", outcome="one_time_expired").count() == 1


def test_one_that_expires_after_the_sign_in_still_signs_nothing(administrator: Actor, site: Site) -> None:
    user, client = new_user(administrator, site), Client(headers={"Accept": "text/html"})
    sign_in(client, user, ONE_TIME)
    User.objects.filter(pk=user.pk).update(one_time_until=timezone.now() - timedelta(hours=1))
    assert client.get("/worklist/")["Location"] == reverse("own-password")
    assert choose(client).status_code == 422
    user.refresh_from_db()
    assert user.check_password(ONE_TIME)


def test_an_administrator_who_resets_a_password_does_not_sign_as_its_person(
    administrator: Actor, site: Site
) -> None:
    victim = used(make.user(Role.RADIOLOGIST, site))
    theirs = Client()
    sign_in(theirs, victim, make.PASSWORD)
    services.set_password(administrator, victim, ONE_TIME)
    impostor = Client()
    sign_in(impostor, victim, ONE_TIME)
    with pytest.raises(NotPermitted):
        sign(victim, ONE_TIME)
    assert choose(impostor).status_code == 302
    with pytest.raises(NotPermitted) as refused:
        sign(victim, OWN)
    assert refused.value.code == "signing_rests"
    # Their own session and password no longer work: they notice.
    assert theirs.get("/worklist/").status_code == 302
    assert sign_in(Client(), victim, make.PASSWORD).status_code == 200
    said = AuditEvent.objects.filter(object_type="user", object_id=str(victim.pk))
    assert said.filter(action="user.set_password", actor=administrator.user).exists()
    # A second reset does not make the rest go away.
    services.set_password(administrator, victim, ONE_TIME)
    victim.refresh_from_db()
    assert one_time.signing_rests(victim)


def test_the_rest_ends_by_time_or_by_another_administrator(administrator: Actor, site: Site) -> None:
    victim = used(make.user(Role.RADIOLOGIST, site))
    services.set_password(administrator, victim, ONE_TIME)
    client = Client()
    sign_in(client, victim, ONE_TIME)
    choose(client)
    with pytest.raises(NotPermitted):
        services.release_signing(administrator, victim)
    with pytest.raises(NotPermitted):
        services.release_signing(make.actor(Role.RADIOLOGIST, site), victim)
    services.release_signing(make.actor(Role.ADMINISTRATOR), victim)
    sign(victim, OWN)
    victim.signing_rests_until = timezone.now() + timedelta(hours=1)
    victim.save()
    with pytest.raises(NotPermitted):
        sign(victim, OWN)
    victim.signing_rests_until = timezone.now() - timedelta(seconds=1)
    victim.save()
    sign(victim, OWN)


def test_the_rest_begins_when_the_own_password_is_chosen(administrator: Actor, site: Site) -> None:
    victim = used(make.user(Role.RADIOLOGIST, site))
    services.set_password(administrator, victim, ONE_TIME)
    client = Client()
    sign_in(client, victim, ONE_TIME)
    choose(client)
    victim.refresh_from_db()
    left = victim.signing_rests_until - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(hours=24)


def test_administrators_pass_on_what_was_made_up_and_is_shown_once(site: Site) -> None:
    browser = Client()
    browser.force_login(make.user(Role.ADMINISTRATOR))
    form = {"username": "dr.new", "role": Role.RADIOLOGIST, "site": site.pk}
    page = browser.post(reverse("new-user"), form)
    password = page.context["one_time_password"]
    assert page.status_code == 200 and password in page.content.decode()
    user = User.objects.get(username="dr.new")
    assert user.check_password(password) and user.must_change_password
    assert password not in browser.get(reverse("user", args=[user.pk])).content.decode()
    page = browser.post(reverse("user-password", args=[user.pk]), {})
    user.refresh_from_db()
    assert user.check_password(page.context["one_time_password"])
    assert len({one_time.made_up() for _ in range(50)}) == 50


def test_demo_people_and_one_s_own_password_are_no_one_time_ones(site: Site) -> None:
    user = services.create_user(
        Actor.system("demo"), username="demo", password=OWN, role=Role.RADIOLOGIST, site=site
    )
    assert not user.must_change_password
    services.set_password(Actor.system("demo"), user, ONE_TIME)
    sign(user, ONE_TIME)
    administrator = make.actor(Role.ADMINISTRATOR)
    services.set_password(administrator, administrator.user, OWN)
    administrator.user.refresh_from_db()
    assert not administrator.user.must_change_password


def test_changing_one_s_password_ends_the_other_sessions_only(site: Site) -> None:
    user = make.user(Role.RADIOLOGIST, site)
    here, there = Client(), Client()
    for client in (here, there):
        sign_in(client, user, make.PASSWORD)
    form = {"oldpassword": make.PASSWORD, "password1": OWN, "password2": OWN}
    same = {**form, "password1": make.PASSWORD, "password2": make.PASSWORD}
    assert here.post(reverse("account_change_password"), same).status_code == 200
    assert here.post(reverse("account_change_password"), form).status_code == 302
    assert here.get("/worklist/").status_code == 200
    assert there.get("/worklist/").status_code == 302
    assert AuditEvent.objects.filter(action="user.change_password", actor=user).count() == 1


def test_signing_in_says_when_and_from_where_it_was_last(site: Site) -> None:
    user = make.user(Role.RADIOLOGIST, site)
    first = Client(REMOTE_ADDR="192.0.2.7")
    sign_in(first, user, make.PASSWORD)
    assert "Last sign-in" not in first.get("/worklist/").content.decode()
    sign_in(Client(), user, "not it at all")
    again = Client(REMOTE_ADDR="192.0.2.9")
    sign_in(again, user, make.PASSWORD)
    page = again.get("/worklist/").content.decode()
    assert "Last sign-in:" in page and "from 192.0.2.7" in page
    assert "Since then one attempt has failed." in page
    assert "Last sign-in" not in again.get("/worklist/").content.decode(), "once"
