"""What an app says of itself, so that the floors above need not know it: its pages in the navigation, its loops
and probes, what its entries in the audit log are called, and what the application's database role may do with its
tables.

`web` shows the navigation, `audit` puts the log into words, `operations` runs the loops and probes and grants the
rights. Each asks every installed app and names none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.db.models import Model
    from django.utils.functional import _StrPromise as LazyText

#: Makes a component work; raises `proofs.ProbeFailed` when it does not. What it returns is not looked at, but for
#: `proofs.UNMEASURED`.
Check = Callable[[], object]


class DatabaseRights(Enum):
    """What the application's role may do with the rows of a table; its owner alone may change the table itself.

    A model says so in its attribute `database_rights`. A table that says nothing fails `manage.py check`.
    """

    #: Written once: neither updated nor deleted, whatever the code does.
    APPEND_ONLY = ("SELECT", "INSERT")
    #: Rows change and stay.
    UPDATABLE = ("SELECT", "INSERT", "UPDATE")
    #: Rows may also go.
    DELETABLE = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, eq=False)
class NavigationGroup:
    """Pages that stand under one entry of the navigation, and on each other's pages in a row of their own: whoever has
    many pages sees few names."""

    label: str | LazyText


#: What analyses, and how well.
MODELS = NavigationGroup(_("Models"))
#: Whose studies they are, and how long they are kept.
PATIENTS = NavigationGroup(_("Patients"))
#: Whom and what the platform lets in and out.
ADMINISTRATION = NavigationGroup(_("Administration"))


@dataclass(frozen=True)
class NavigationEntry:
    """A page that the navigation leads to.

    Attributes
    ----------
    name
        Of its URL; a view that puts the same into its context as `nav` marks the entry as the current page.
    label
        What the entry is called.
    permission
        Whoever has it sees the entry (`accounts.rules`).
    position
        Entries stand in this order. The first that a person sees is where they start.
    group
        Under which it stands; a group has the place of its first entry.
    """

    name: str
    label: str | LazyText
    permission: str
    position: int
    group: NavigationGroup | None = None


@dataclass(frozen=True)
class Loop:
    """`step` again and again, with `wait` between: until an event, or for a time.

    A step that returns a float names the seconds until its next turn itself. It must take no longer than seconds
    and may be called twice at once by two housekeeping processes.
    """

    name: str
    step: Callable[[], object]
    every: float = 1.0
    wait: Callable[[], None] | None = None


@dataclass(frozen=True)
class Sample:
    """One figure, and what it is of. Labels name no person and no study."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """A figure for a monitoring system, in Prometheus' terms."""

    name: str
    help: str
    samples: tuple[Sample, ...]
    kind: Literal["gauge", "counter"] = "gauge"


class PlatformApp(AppConfig):
    """An app of the platform. What it contributes it overrides; imports of its own modules belong inside the
    methods, since an `AppConfig` is read before models can be."""

    #: Django takes the one class of an `apps.py` that does not say no; this one is imported into each of them.
    default = False

    navigation: tuple[NavigationEntry, ...] = ()
    #: Action → what it is called on screen, for every action that this app records in the audit log.
    audit_actions: Mapping[str, str | LazyText] = {}
    #: Action → what it is called where it was only tried, for those that are recorded then too.
    audit_attempts: Mapping[str, str | LazyText] = {}
    #: Table → rights, for tables of others that this app brings in.
    tables_of_others: Mapping[str, DatabaseRights] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.default = True

    def loops(self) -> Iterable[Loop]:
        """What housekeeping does for this app."""
        return ()

    def probes(self) -> Mapping[str, Check]:
        """Component → its check, of those that readiness asks for. Asked anew each round: models come and go."""
        return {}

    def redundant_probes(self) -> Mapping[str, Check]:
        """The same for components whose work others can do too: one that fails leaves the platform degraded."""
        return {}

    def standby_probes(self) -> Mapping[str, Check]:
        """The same for components that stand by: proven once a minute, and no reason to be unready."""
        return {}

    def metrics(self) -> Iterable[Metric]:
        """The figures of this moment, for `/metrics`."""
        return ()


def platform_apps() -> Iterator[PlatformApp]:
    """The platform's own apps, in the order of the settings."""
    for config in apps.get_app_configs():
        if isinstance(config, PlatformApp):
            yield config


def rights_by_table() -> dict[str, DatabaseRights]:
    """Table → what the application's role may do with it, for every table that something was declared of."""
    declared: dict[str, DatabaseRights] = {}
    for app in platform_apps():
        declared.update(app.tables_of_others)
    for model in _tables():
        # A table between two models is declared by the one that names the other.
        rights = getattr(model._meta.auto_created or model, "database_rights", None)
        if isinstance(rights, DatabaseRights):
            declared[model._meta.db_table] = rights
    return declared


def undeclared_tables() -> list[str]:
    """Tables of installed models that nothing was declared of."""
    declared = rights_by_table()
    return sorted(model._meta.db_table for model in _tables() if model._meta.db_table not in declared)


def _tables() -> list[type[Any]]:
    """The models that have a table of their own, with the tables between two models."""
    found: list[type[Model]] = apps.get_models(include_auto_created=True)
    return [model for model in found if model._meta.managed and not model._meta.proxy]
