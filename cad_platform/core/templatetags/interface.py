"""What templates of every app need: the navigation of a role, icons, and how a name or a duration is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy, ngettext
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import allowed
from cad_platform.core.request import actor_of

register = template.Library()

#: Where the shell leads, with the permission that shows the entry.
_PLACES = (
    ("worklist", gettext_lazy("Worklist"), "study.view"),
    ("demographics-reviews", gettext_lazy("Demographics"), "patient.review_demographics"),
    ("jobs", gettext_lazy("Jobs"), "job.view_all"),
    ("models", gettext_lazy("Models"), "model.manage"),
    ("users", gettext_lazy("Users"), "user.manage"),
    ("tokens", gettext_lazy("Tokens"), "token.manage"),
    ("audit", gettext_lazy("Audit"), "audit.view"),
)


@dataclass(frozen=True)
class Place:
    """One entry of the navigation."""

    name: str
    label: str
    url: str
    is_current: bool


@register.simple_tag(takes_context=True)
def navigation(context: Mapping[str, Any]) -> list[Place]:
    """The entries that the signed-in person's role opens; none for a visitor."""
    request: HttpRequest | None = context.get("request")
    if request is None or not request.user.is_authenticated:
        return []
    actor = actor_of(request)
    places = []
    for name, label, permission in _PLACES:
        if not allowed(actor, permission):
            continue
        try:
            url = reverse(name)
        except NoReverseMatch:
            continue
        places.append(Place(name, str(label), url, context.get("nav") == name))
    return places


# 24 × 24, stroked: drawn for this project.
_ICONS = {
    "window": '<circle cx="12" cy="12" r="8.5"/><path d="M12 3.5v17a8.5 8.5 0 0 0 0-17Z" fill="currentColor"/>',
    "pan": '<path d="M12 3v18M3 12h18M9.5 5.5 12 3l2.5 2.5M9.5 18.5 12 21l2.5-2.5M5.5 9.5 3 12l2.5 2.5M18.5 9.5 21 12l-2.5 2.5"/>',
    "zoom": '<circle cx="10.5" cy="10.5" r="6.5"/><path d="m20.5 20.5-5.4-5.4M10.5 8v5M8 10.5h5"/>',
    "length": '<path d="m3.5 16.5 13-13 4 4-13 13zM7 13l2 2M10 10l2 2M13 7l2 2"/>',
    "fit": '<path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"/><rect x="8.5" y="8.5" width="7" height="7" rx="1"/>',
    "flip": '<path d="M12 3v18" stroke-dasharray="2.5 2.5"/><path d="M8.5 6.5v11h-6zM15.5 6.5v11h6z"/>',
    "invert": '<rect x="3.5" y="3.5" width="17" height="17" rx="2"/><path d="M3.5 20.5 20.5 3.5v15a2 2 0 0 1-2 2z" fill="currentColor"/>',
    "reset": '<path d="M4.5 4.5v5h5"/><path d="M5 9.5a8 8 0 1 1-1 4"/>',
    "layers": '<path d="m12 3.5 9 5-9 5-9-5zM3.5 13l8.5 4.7 8.5-4.7"/>',
    "marks": '<path d="M4 8V5a1 1 0 0 1 1-1h3M16 4h3a1 1 0 0 1 1 1v3M20 16v3a1 1 0 0 1-1 1h-3M8 20H5a1 1 0 0 1-1-1v-3"/><circle cx="12" cy="12" r="2"/>',
    "draw": '<path d="M4 8V5a1 1 0 0 1 1-1h3M14 4h5a1 1 0 0 1 1 1v5M8 20H5a1 1 0 0 1-1-1v-5M17 14v6M14 17h6"/>',
    "grid": '<rect x="4" y="4" width="7" height="7" rx="1"/><rect x="13" y="4" width="7" height="7" rx="1"/><rect x="4" y="13" width="7" height="7" rx="1"/><rect x="13" y="13" width="7" height="7" rx="1"/>',
    "link": '<path d="M9.5 14.5 14.5 9.5M11 6.5l1.8-1.8a4.6 4.6 0 0 1 6.5 6.5L17.5 13M13 17.5l-1.8 1.8a4.6 4.6 0 0 1-6.5-6.5L6.5 11"/>',
    "play": '<path d="M7 4.5v15l12-7.5z" fill="currentColor"/>',
    "search": '<circle cx="10.5" cy="10.5" r="6.5"/><path d="m20.5 20.5-5.4-5.4"/>',
    "check": '<path d="m4.5 12.5 5 5 10-11"/>',
    "cross": '<path d="m6 6 12 12M18 6 6 18"/>',
    "edit": '<path d="M4 20l1-4.5L16 4.5l3.5 3.5L8.5 19zM13.5 7l3.5 3.5"/>',
    "undo": '<path d="M9 5 4 10l5 5"/><path d="M4 10h10a5.5 5.5 0 0 1 0 11h-3"/>',
    "back": '<path d="m14.5 5-7 7 7 7"/>',
    "warn": '<path d="M12 4 2.5 20.5h19zM12 10v5M12 17.8v.1"/>',
    "clock": '<circle cx="12" cy="12" r="8.5"/><path d="M12 7v5l3.5 2"/>',
    "keyboard": '<rect x="2.5" y="6" width="19" height="12" rx="2"/><path d="M6 10h.1M9.7 10h.1M13.4 10h.1M17 10h.1M8 14h8"/>',
    "exit": '<path d="M14 4h-8a1.5 1.5 0 0 0-1.5 1.5v13a1.5 1.5 0 0 0 1.5 1.5h8M10 12h11M17.5 8.5 21 12l-3.5 3.5"/>',
    "person": '<circle cx="12" cy="8" r="4"/><path d="M4.5 20.5a7.5 7.5 0 0 1 15 0"/>',
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon beside words that say the same, hence hidden from screen readers."""
    return format_html(
        '<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{}</svg>',
        mark_safe(_ICONS[name]),  # noqa: S308 (a constant of this file)
    )


@register.filter
def person_name(value: str) -> str:
    """A DICOM person name (PS3.5 6.2) as people write it: `Family^Given^Middle^Prefix^Suffix` as
    "Family, Given Middle". Of several representations the first that says something is taken."""
    group = next((part for part in value.split("=") if part.strip("^ ")), "")
    family, *rest = (part.strip() for part in group.split("^"))
    given = " ".join(part for part in rest[:2] if part)
    return ", ".join(part for part in (family, given) if part)


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
