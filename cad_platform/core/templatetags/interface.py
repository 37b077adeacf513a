"""What templates of every app need: a role's navigation, icons, and how names and durations are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import template
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from cad_platform.accounts.rules import allowed
from cad_platform.core.request import actor_of

register = template.Library()

#: Kana, Han and Hangul.
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

#: Where the shell leads, with the permission that shows the entry.
_PLACES = (
    ("worklist", gettext_lazy("Worklist"), "study.view"),
    ("demographics-reviews", gettext_lazy("Demographics"), "patient.review_demographics"),
    ("jobs", gettext_lazy("Jobs"), "job.view_all"),
    ("models", gettext_lazy("Models"), "model.manage"),
    ("reanalyses", gettext_lazy("Analyse again"), "study.reanalyse"),
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


@register.simple_tag
def icon(name: str) -> str:
    """An icon beside words that say the same, hence hidden from screen readers."""
    return render_to_string(f"core/icons/{name}.svg")


@register.filter
def person_name(value: str) -> str:
    """A DICOM person name (PS3.5 6.2) as people write it: `Family^Given^Middle^Prefix^Suffix` as
    "Family, Given Middle", a Chinese, Japanese or Korean one without anything between. Of several
    representations the first that says something is taken."""
    group = next((part for part in value.split("=") if part.strip("^ ")), "")
    family, *rest = (part.strip() for part in group.split("^"))
    given = " ".join(part for part in rest[:2] if part)
    separator = "" if _EAST_ASIAN.search(family) and _EAST_ASIAN.search(given) else ", "
    return separator.join(part for part in (family, given) if part)


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
