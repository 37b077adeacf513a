"""What templates of every app need: a role's navigation, icons, and how names and durations are written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import template
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cad_platform.accounts.commands import COMMANDS, GROUPS
from cad_platform.accounts.keyboard import Keyboard
from cad_platform.core.actor import actor_of
from cad_platform.core.punctuation import listed, named
from cad_platform.patients.person_name import person_name
from cad_platform.web.navigation import NavigationLink, entries_of, links

register = template.Library()
register.filter(person_name)
register.filter(listed)
register.filter(named)


@register.simple_tag(takes_context=True)
def navigation(context: Mapping[str, Any]) -> list[NavigationLink]:
    """What the signed-in person's role opens; nothing for a visitor."""
    request: HttpRequest | None = context.get("request")
    if request is None or not request.user.is_authenticated:
        return []
    return links(entries_of(actor_of(request)), context.get("nav"))


@register.simple_tag
def icon(name: str) -> str:
    """An icon beside words that say the same, hence hidden from screen readers."""
    return render_to_string(f"web/icons/{name}.svg")


#: How keys are called that have more than one letter in `accounts.commands`.
_KEY_SIGNS = {
    "ArrowDown": "↓",
    "ArrowUp": "↑",
    "Arrows": "← ↑ ↓ →",
    "Escape": "Esc",
    "PageDown": "Page Down",
    "PageUp": "Page Up",
    "-": "−",
}


def _keyboard(context: Mapping[str, Any]) -> Keyboard:
    """The reader's; the table as it is where a template is rendered without a request."""
    found = context.get("keyboard")
    return found() if callable(found) else Keyboard()


def _shown(key: str) -> str:
    """A key as it stands on the keyboard: "A", "Shift+B", "Page Up"."""
    *modifiers, last = key.split("+") if len(key) > 1 else [key]
    sign = _KEY_SIGNS.get(last, last.upper() if len(last) == 1 else last)
    return "+".join([*modifiers, sign])


@register.simple_tag(takes_context=True)
def keys(context: Mapping[str, Any], command: str) -> SafeString:
    """The key of a command as it is for the reader; nothing where it has none."""
    found = _keyboard(context).keys(COMMANDS[command])
    return format_html_join(
        " ", "<kbd>{}</kbd>", ((_shown(part),) for part in found[0].split(" ")) if found else ()
    )


@register.simple_tag(takes_context=True)
def key_hint(context: Mapping[str, Any], command: str) -> str:
    """What a button's title says of its key: " (A)"; nothing where it has none."""
    found = _keyboard(context).keys(COMMANDS[command])
    return _(" (%(key)s)") % {"key": _shown(found[0])} if found else ""


@register.simple_tag(takes_context=True)
def keyshortcuts(context: Mapping[str, Any], command: str) -> SafeString:
    """The attribute that tells a screen reader the key of a button; nothing where it has none."""
    found = [key for key in _keyboard(context).keys(COMMANDS[command]) if " " not in key]
    return format_html(' aria-keyshortcuts="{}"', found[0]) if found else SafeString("")


@register.simple_tag(takes_context=True)
def shortcut_groups(context: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:
    """Groups of the sheet with the commands that have a key now."""
    keyboard = _keyboard(context)
    return [
        {"title": group.title, "commands": [each for each in group.commands if keyboard.keys(each)]}
        for group in GROUPS
        if group.id in names
    ]


@register.filter
def waiting(value: timedelta | None) -> str:
    """How long something waits, in its two largest units at most: "3 d 4 h", "2 h 5 min", "8 min"."""
    if value is None:
        return ""
    minutes = max(0, int(value.total_seconds() // 60))
    days, hours = divmod(minutes // 60, 24)
    minutes %= 60
    if days:
        return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours}
    if hours:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    if minutes:
        return _("%(minutes)d min") % {"minutes": minutes}
    return _("just now")


@register.filter
def years(value: int | None) -> str:
    """An age in words."""
    if value is None:
        return ""
    return ngettext("%(count)d year", "%(count)d years", value) % {"count": value}
