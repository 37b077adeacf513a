"""Who has which role: given and taken with a reason, never by oneself, never the last administrator's."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse

from cad_platform.accounts import roles, services
from cad_platform.accounts.models import Role, RoleChange, Site, User
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotPermitted, PlatformError
from tests import factories
from tests.studies.test_receive_safety import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def administrator() -> Actor:
    return factories.actor(Role.ADMINISTRATOR)


def test_given_and_taken_with_a_reason(site: Site, administrator: Actor) -> None:
    person = factories.user(Role.SONOGRAPHER, site)
    for reason in ("", " ", "x" * 2001):
        with pytest.raises(Invalid):
            roles.give(administrator, person, role=Role.RADIOLOGIST, site=site, reason=reason)
        with pytest.raises(Invalid):
            roles.take(administrator, person, reason)
    roles.give(administrator, person, role=Role.RADIOLOGIST, site=site, reason="Board certified.")
    roles.take(administrator, person, "Left the house.")
    person.refresh_from_db()
    assert not person.is_active
    told = [(each.role_before, each.role, each.reason) for each in roles.changes_of(administrator, person)]
    assert told == [
        ("radiologist", "", "Left the house."),
        ("sonographer", "radiologist", "Board certified."),
    ]
    assert set(AuditEvent.objects.values_list("action", flat=True)) >= {"user.change_role", "user.take_role"}
    with pytest.raises(DatabaseError), transaction.atomic():
        RoleChange.objects.all().update(reason="another")


def test_nobody_gives_themselves_more_nor_takes_the_last_administrator(
    site: Site, administrator: Actor
) -> None:
    reader = factories.actor(Role.RADIOLOGIST, site)
    with pytest.raises(NotPermitted):
        roles.give(reader, reader.user, role=Role.ADMINISTRATOR, site=None, reason="me")
    for act in (
        lambda: roles.give(administrator, administrator.user, role=Role.RADIOLOGIST, site=site, reason="me"),
        lambda: roles.take(administrator, administrator.user, "me"),
        # Not by the command line either.
        lambda: roles.take(Actor.system("test"), administrator.user, "nobody left"),
        lambda: services.deactivate_user(Actor.system("test"), administrator.user),
        lambda: roles.give(
            Actor.system("test"), administrator.user, role=Role.RADIOLOGIST, site=site, reason="nobody left"
        ),
    ):
        with pytest.raises(Conflict):
            act()
    assert User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).count() == 1


@pytest.mark.parametrize("way", ["take", "give", "deactivate"])
def test_two_administrators_take_each_others_role_at_once(site: Site, administrator: Actor, way: str) -> None:
    other = factories.actor(Role.ADMINISTRATOR)

    def act(by: Actor, of: Actor) -> Any:
        try:
            if way == "take":
                return roles.take(by, of.user, "quarrel")
            if way == "give":
                return roles.give(by, of.user, role=Role.RADIOLOGIST, site=site, reason="quarrel")
            services.deactivate_user(by, of.user)
        except PlatformError:
            return None
        return True

    answers = at_once(lambda: act(administrator, other), lambda: act(other, administrator))
    assert sum(answer is not None for answer in answers) == 1
    assert User.objects.filter(role=Role.ADMINISTRATOR, is_active=True).count() == 1


def test_the_pages(site: Site, administrator: Actor) -> None:
    person = factories.user(Role.SONOGRAPHER, site)
    browser = Client()
    browser.force_login(administrator.user)
    assert person.printed_name in browser.get(reverse("roles")).content.decode()
    address = reverse("person-roles", args=[person.pk])
    form = {"role": Role.RADIOLOGIST, "site": site.pk, "access": "give"}
    assert browser.post(address, form).status_code == 422
    assert browser.post(address, {**form, "reason": "Board certified."}).status_code == 302
    assert "Board certified." in browser.get(reverse("roles")).content.decode()
    assert browser.post(address, {"access": "take", "reason": "Left."}).status_code == 302
    own = reverse("person-roles", args=[administrator.user.pk])
    assert browser.post(own, {"access": "take", "reason": "Left."}).status_code == 422
    stranger = Client()
    stranger.force_login(factories.user(Role.RADIOLOGIST, site))
    assert stranger.get(reverse("roles")).status_code == stranger.get(address).status_code == 403
