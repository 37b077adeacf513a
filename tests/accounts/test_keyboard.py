"""A person's keys: one table, changed by each for themselves, and what every page then says."""

from __future__ import annotations

import json
import re
from itertools import combinations

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.commands import COMMANDS, GROUPS
from cad_platform.accounts.keyboard import Keyboard, change_keyboard, keyboard_of
from cad_platform.accounts.models import KeyboardPreference, Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Invalid
from cad_platform.web.page_answers import shortcuts_of
from embedded.state import REPOSITORY
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reader() -> Actor:
    return factories.actor(Role.RADIOLOGIST)


@pytest.fixture
def browser(reader: Actor) -> Client:
    client = Client()
    client.force_login(reader.user)
    return client


def settings_of(browser: Client) -> dict[str, list[str]]:
    html = browser.get(reverse("keyboard")).content.decode()
    found = re.search(r'<script id="page-settings" type="application/json">(.*?)</script>', html)
    assert found is not None
    return {each["id"]: each["keys"] for each in json.loads(found[1])["shortcuts"]}


def test_no_key_starts_two_commands_at_one_place() -> None:
    for one, other in combinations(COMMANDS.values(), 2):
        if one.place.overlaps(other.place):
            assert not {one.key, *one.also} & {other.key, *other.also}, (one.id, other.id)


def test_the_scripts_are_tested_with_this_table() -> None:
    path = REPOSITORY / "frontend" / "src" / "testing" / "shortcuts.json"
    assert json.loads(path.read_text()) == [each.as_json() for each in shortcuts_of(Keyboard())]


def test_the_clinicians_document_has_every_key() -> None:
    text = (REPOSITORY / "docs" / "clinicians.md").read_text()
    for group in GROUPS:
        for command in group.commands:
            assert f"| {command.words} | `{command.key}` |" in text, command.id


def test_a_key_is_changed_and_every_page_says_so(reader: Actor, browser: Client) -> None:
    change_keyboard(reader, single_keys=True, keys={"accept": "y", "zoom-in": "t"})
    keys = settings_of(browser)
    assert (keys["accept"], keys["zoom-in"], keys["reject"]) == (["y"], ["t"], ["r"])
    html = browser.get(reverse("keyboard")).content.decode()
    assert 'name="key-accept" value="y"' in html
    event = AuditEvent.objects.get(action="user.keyboard")
    assert event.detail == {"commands": ["accept", "zoom-in"], "single_keys": True}


def test_single_keys_are_switched_off_and_the_others_stay(reader: Actor, browser: Client) -> None:
    change_keyboard(reader, single_keys=False, keys={"reject": "Alt+r"})
    keys = settings_of(browser)
    left = {each for each, of in keys.items() if of}
    assert "accept" not in left and "sheet" not in left and "play" not in left
    assert keys["reject"] == ["Alt+r"]
    assert {"move", "previous-of-view", "switch-focus", "cancel"} <= left
    # The page still shows what they would be.
    assert 'name="key-accept" value="a"' in browser.get(reverse("keyboard")).content.decode()


def test_a_command_may_go_without_a_key(reader: Actor) -> None:
    change_keyboard(reader, single_keys=True, keys={"accept": ""})
    assert keyboard_of(reader.user).keys(COMMANDS["accept"]) == ()


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({"accept": "r"}, "accept"),
        ({"accept": "t", "reject": "t"}, "reject"),
        ({"invert": "?"}, "invert"),
        ({"invert": "g"}, "invert"),
        ({"next-study": "/"}, "next-study"),
        ({"accept": "Ctrl+w"}, "accept"),
        ({"accept": "Tab"}, "accept"),
        ({"accept": "ab"}, "accept"),
        ({"accept": "A"}, "accept"),
        ({"accept": "\u0007"}, "accept"),
        ({"move": "q"}, "move"),
        ({"no-such": "q"}, "no-such"),
    ],
)
def test_a_key_that_cannot_be_had_is_refused_and_nothing_changes(
    reader: Actor, keys: dict[str, str], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        change_keyboard(reader, single_keys=True, keys=keys)
    assert [error.field for error in refused.value.errors] == [field]
    assert not KeyboardPreference.objects.exists()


def test_two_commands_change_their_keys_and_places_apart_share_one(reader: Actor) -> None:
    change_keyboard(reader, single_keys=True, keys={"accept": "r", "reject": "a", "next-study": "n"})
    mine = keyboard_of(reader.user)
    assert [mine.keys(COMMANDS[each])[0] for each in ("accept", "reject", "next-study")] == ["r", "a", "n"]


def test_a_key_that_another_command_took_is_no_longer_the_second_of_the_first(reader: Actor) -> None:
    change_keyboard(reader, single_keys=True, keys={"invert": "="})
    mine = keyboard_of(reader.user)
    assert mine.keys(COMMANDS["zoom-in"]) == ("+",) and mine.keys(COMMANDS["invert"]) == ("=",)


def test_the_page_names_the_conflict_and_keeps_what_was_typed(browser: Client) -> None:
    answer = browser.post(reverse("keyboard"), {"single_keys": "on", "key-accept": "r"})
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "This is also the key of “Reject with a reason”." in html and 'value="r"' in html


def test_the_page_saves_and_goes_back_to_what_was_at_first(reader: Actor, browser: Client) -> None:
    assert browser.post(reverse("keyboard"), {"key-accept": "y"}).status_code == 302
    assert keyboard_of(reader.user) == Keyboard(False, {"accept": "y"})
    browser.post(reverse("keyboard"), {"key-accept": "y", "reset": ""})
    assert keyboard_of(reader.user) == Keyboard(True, {})


def test_keys_are_ones_own(reader: Actor) -> None:
    other = factories.actor(Role.RADIOLOGIST)
    change_keyboard(reader, single_keys=False, keys={"accept": "y"})
    assert keyboard_of(other.user) == Keyboard()
    assert Client().get(reverse("keyboard")).status_code == 302


def test_what_did_not_change_is_not_recorded(reader: Actor) -> None:
    for _ in range(2):
        change_keyboard(reader, single_keys=True, keys={"accept": "y"})
    change_keyboard(reader, single_keys=True, keys={"accept": "y", "reject": "r"})
    assert AuditEvent.objects.filter(action="user.keyboard").count() == 1


def test_a_button_says_its_key_as_it_is_for_the_reader(reader: Actor, browser: Client) -> None:
    assert 'aria-keyshortcuts="?"' in browser.get(reverse("keyboard")).content.decode()
    change_keyboard(reader, single_keys=False, keys={})
    assert "aria-keyshortcuts" not in browser.get(reverse("keyboard")).content.decode()
