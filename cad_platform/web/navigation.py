"""Where the shell leads, as the apps say (`PlatformApp.navigation`)."""

from __future__ import annotations

from cad_platform.accounts.rules import allowed
from cad_platform.core.actor import Actor
from cad_platform.core.declarations import NavigationEntry, platform_apps


def entries() -> list[NavigationEntry]:
    """Every page of the navigation, in its order."""
    found = [entry for app in platform_apps() for entry in app.navigation]
    return sorted(found, key=lambda entry: entry.position)


def entries_of(actor: Actor) -> list[NavigationEntry]:
    """Those that the actor's role opens. The first is where the actor starts."""
    return [entry for entry in entries() if allowed(actor, entry.permission)]
