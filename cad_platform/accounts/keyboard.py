"""A person's keys: the table of commands with what they changed, and whether single keys act at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from cad_platform.accounts.commands import COMMANDS, Command, is_character
from cad_platform.accounts.models import KeyboardPreference
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import FieldError, Invalid

#: A character, a letter with Shift or Alt, a digit with Alt, or a function key that no browser needs.
_CHOSEN_KEY = re.compile(r"[^\sA-Z]|Space|Shift\+[^\W\d_A-Z]|Alt\+[a-z0-9]|F(?:2|4|7|8|9|10)")


@dataclass(frozen=True)
class Keyboard:
    """The keys as they are for one person.

    Attributes
    ----------
    single_keys
        Whether keys that type a character act.
    changed
        By command, the key that the person gave it; empty for none.
    """

    single_keys: bool = True
    changed: Mapping[str, str] = field(default_factory=dict)

    def chosen(self, command: Command) -> str:
        """The key that the person sees in their preferences, whether or not single keys act."""
        return self.changed.get(command.id, command.key)

    def keys(self, command: Command) -> tuple[str, ...]:
        """The keys that act for a command now, the one to show first."""
        taken = {key for each, key in self.changed.items() if each != command.id}
        mine = (
            (self.changed[command.id],)
            if command.id in self.changed
            else (command.key, *(key for key in command.also if key not in taken))
        )
        return tuple(key for key in mine if key and (self.single_keys or not is_character(key)))


def keyboard_of(user: Any) -> Keyboard:
    """The keys of a signed-in person; the table as it is for a visitor."""
    if not user.is_authenticated:
        return Keyboard()
    kept = KeyboardPreference.objects.filter(user_id=user.pk).first()
    if kept is None:
        return Keyboard()
    # What a later version no longer has is left alone, and comes back with it.
    return Keyboard(kept.single_keys, {each: key for each, key in kept.keys.items() if each in COMMANDS})


@transaction.atomic
def change_keyboard(actor: Actor, *, single_keys: bool, keys: Mapping[str, str]) -> Keyboard:
    """Change one's own keys.

    Parameters
    ----------
    keys
        By command, its key; empty for none. Commands that are not named get their defaults.

    Raises
    ------
    Invalid
        A key cannot be had, belongs to two commands that act at one place, or there is no such command. The fields are
        the commands' ids.
    """
    assert actor.user is not None, "only a person has keys"
    errors = [FieldError(_("There is no such command."), each) for each in keys if each not in COMMANDS]
    changed = {each: key for each, key in keys.items() if each in COMMANDS and key != COMMANDS[each].key}
    errors += [error for each, key in changed.items() if (error := _error_of(COMMANDS[each], key))]
    wanted = Keyboard(True, changed)
    errors += [] if errors else _conflicts(wanted)
    if errors:
        raise Invalid(_("The keys were not changed."), errors=tuple(errors))
    kept, _made = KeyboardPreference.objects.select_for_update().get_or_create(user=actor.user)
    commands = sorted(each for each in {*kept.keys, *changed} if kept.keys.get(each) != changed.get(each))
    if commands or kept.single_keys != single_keys:
        kept.single_keys, kept.keys = single_keys, changed
        kept.save(update_fields=["single_keys", "keys"])
        record(
            actor, "user.keyboard", object_type="user", object_id=actor.user.pk,
            commands=commands, single_keys=single_keys,
        )  # fmt: skip
    return Keyboard(single_keys, changed)


def _error_of(command: Command, key: str) -> FieldError | None:
    if not command.is_single_key:
        return FieldError(_("This key cannot be changed."), command.id)
    if key and not (key.isprintable() and _CHOSEN_KEY.fullmatch(key)):
        return FieldError(
            _("Choose a character, Alt with a letter or digit, or one of F2, F4 and F7 to F10."), command.id
        )
    return None


def _conflicts(keyboard: Keyboard) -> list[FieldError]:
    """Of two commands that one key would start, the one that was changed, or the later of two."""
    found = []
    commands = list(COMMANDS.values())
    for index, later in enumerate(commands):
        for earlier in commands[:index]:
            if not later.place.overlaps(earlier.place):
                continue
            one, other = keyboard.chosen(later), keyboard.chosen(earlier)
            # The first of two keys that follow each other would never be heard by itself.
            if one and other and (one == other or one == other.split(" ")[0] or other == one.split(" ")[0]):
                at, beside = (earlier, later) if later.id not in keyboard.changed else (later, earlier)
                reason = _("This is also the key of “%(command)s”.") % {"command": beside.words}
                found.append(FieldError(reason, at.id))
    return found
