"""Where the shell leads, as the apps say (`PlatformApp.navigation`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.urls import reverse

from cad_platform.accounts.rules import allowed
from cad_platform.core.actor import Actor
from cad_platform.core.declarations import NavigationEntry, platform_apps


@dataclass(frozen=True)
class NavigationLink:
    """One entry of the navigation on a page: a page, or a group of pages that leads to its first."""

    label: str
    url: str
    #: What `aria-current` says: "page", "true" of the group that the page stands in, nothing otherwise.
    current: str
    pages: list[NavigationLink] = field(default_factory=list)


def entries() -> list[NavigationEntry]:
    """Every page of the navigation, in its order."""
    found = [entry for app in platform_apps() for entry in app.navigation]
    return sorted(found, key=lambda entry: entry.position)


def entries_of(actor: Actor) -> list[NavigationEntry]:
    """Those that the actor's role opens. The first is where the actor starts."""
    return [entry for entry in entries() if allowed(actor, entry.permission)]


def links(shown: Iterable[NavigationEntry], current: str | None) -> list[NavigationLink]:
    """The entries as a page that calls itself `current` shows them: those of a group under one, unless it is alone."""
    together: dict[object, list[NavigationEntry]] = {}
    for entry in shown:
        together.setdefault(entry.group or entry.name, []).append(entry)
    return [_link(group, current) for group in together.values()]


def _link(entries: list[NavigationEntry], current: str | None) -> NavigationLink:
    pages = [
        NavigationLink(str(entry.label), reverse(entry.name), "page" if entry.name == current else "")
        for entry in entries
    ]
    first, group = pages[0], entries[0].group
    if group is None or len(pages) == 1:
        return first
    return NavigationLink(
        str(group.label), first.url, "true" if any(page.current for page in pages) else "", pages
    )
