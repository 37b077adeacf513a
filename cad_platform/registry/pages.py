"""What the pages about models show, put together from what is known; the sentences about what to do."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby

from django.utils.translation import gettext as _

from cad_platform.core.actor import Actor
from cad_platform.core.punctuation import listed
from cad_platform.registry.manifest_words import manifest_words
from cad_platform.registry.models import ModelRoute, ModelVersion
from cad_platform.registry.routes import routes
from cad_platform.registry.selectors import newest_first, versions
from cad_platform.registry.services import Registration
from cad_platform.registry.serving import Serving, serving_of
from cad_platform.registry.stored import is_in_store
from cad_platform.registry.switching import Switch


@dataclass(frozen=True)
class Row:
    """One version as the list shows it."""

    version: ModelVersion
    serving: Serving
    in_store: bool
    routes: tuple[ModelRoute, ...]


@dataclass(frozen=True)
class Group:
    """A model with its versions, newest first."""

    name: str
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """As its newest version calls itself."""
        return manifest_words(str(self.rows[0].version.manifest.get("title", self.name)))

    @property
    def modality(self) -> str:
        return self.rows[0].version.modality

    @property
    def warning(self) -> str:
        """What an administrator has to know of the model as a whole; empty while all is well."""
        default = next((row for row in self.rows if row.version.is_default), None)
        if default is None:
            return _("No version of this model is the default: it analyses nothing.")
        return warning_about(default.version, default.serving)


def groups(actor: Actor) -> list[Group]:
    """Every model with every version. Raises `NotPermitted`."""
    found = newest_first(versions(actor))
    serving = serving_of(actor, found)
    of: dict[int, list[ModelRoute]] = defaultdict(list)
    for route in routes(actor):
        of[route.version_id].append(route)
    rows = [
        Row(version, serving[version.pk], is_in_store(version), tuple(of[version.pk])) for version in found
    ]
    return [Group(name, tuple(of_it)) for name, of_it in groupby(rows, key=lambda row: row.version.name)]


def warning_about(version: ModelVersion, serving: Serving) -> str:
    """What to do about a default version that no server has; empty otherwise."""
    if not (version.is_default and serving.absent):
        return ""
    return _(
        "Studies should be analysed with %(version)s, and no model server has it. Load it on a model server, or make "
        "another version the default."
    ) % {"version": version.version}


def why_not_default(version: ModelVersion, serving: Serving) -> str:
    """Why this version cannot become the default now, and what to do; empty where it can or is. One that nobody has
    asked for yet may: a server is asked before the switch."""
    if version.is_default or serving.answers or not (serving.absent or serving.tried):
        return ""
    if serving.absent:
        return _("It can become the default once a model server has it: load it there first.")
    return _("It can become the default once a model server answers for it.")


def after_switch(switch: Switch) -> str:
    """What the change means for the analyses to come and for those that wait."""
    said = _("New studies are analysed with %(version)s.") % {"version": switch.version}
    if switch.previous is None:
        return said
    waiting = _("Analyses that were waiting for %(previous)s go on with %(version)s.")
    named = {"previous": switch.previous.version, "version": switch.version.version}
    return f"{said} {waiting % named}"


def after_registration(outcome: Registration) -> str:
    """What reading the store has brought."""
    if not outcome.new:
        return _("The model store holds no version that was not known.")
    names = listed(outcome.new)
    return _("Known now, and standing by: %(versions)s.") % {"versions": names}
