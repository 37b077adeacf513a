"""No app reads the rows of a floor above by the name of a relation: what the imports refuse, a string or an attribute
would else allow (`FilteredRelation("reports")`, `study.reports`).

Each foreign key gives the model that it points to a way back, by name. Sources of lower floors than the key's own
must not say that name.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from cad_platform.core.declarations import PlatformApp, platform_apps
from embedded.state import REPOSITORY

PLATFORM = REPOSITORY / "cad_platform"
#: Calls that take names of relations as text or as keywords.
LOOKUPS = {
    *(
        "F",
        "Q",
        "OuterRef",
        "Prefetch",
        "FilteredRelation",
        "Count",
        "Max",
        "Min",
        "Sum",
        "Exists",
        "Subquery",
    ),
    *(
        "filter",
        "exclude",
        "get",
        "annotate",
        "aggregate",
        "order_by",
        "values",
        "values_list",
        "only",
        "defer",
    ),
    *("select_related", "prefetch_related", "distinct", "in_bulk", "latest", "earliest", "get_or_create"),
}
#: Keys that point up, each with its reason.
UPWARD_KEYS = {
    # The log names who acted and where. Accounts write it, so it lies below them; Django's own contract for naming a
    # user without knowing who that is (AUTH_USER_MODEL) serves for the site as well.
    ("audit.AuditEvent", "actor"),
    ("audit.AuditEvent", "site"),
}


@dataclass(frozen=True)
class WayBack:
    """A foreign key's name on the model that it points to."""

    name: str
    key: str
    owner: str


def floors() -> dict[str, int]:
    """App → its floor, counted from the ground."""
    rules = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in rules["contracts"] if c.get("containers") == ["cad_platform"])
    return {
        room.strip(): number
        for number, layer in enumerate(reversed(layers))
        for room in layer.replace("|", ":").split(":")
    }


def keys() -> Iterator[tuple[Any, PlatformApp]]:
    """The foreign keys between the platform's own models, with the app that declares each."""
    ours = {app.label: app for app in platform_apps()}
    for model in apps.get_models():
        app = ours.get(model._meta.app_label)
        for field in model._meta.get_fields() if app else ():
            if field.is_relation and field.concrete and field.model is model:
                related = field.related_model
                if related and related._meta.app_label in ours:
                    yield field, app


def ways_back() -> list[WayBack]:
    """Those with a name that code could say. History rows are read through their own models only."""
    found = []
    for field, app in keys():
        name = field.remote_field.get_accessor_name()
        if (
            name
            and not issubclass(field.model, _history())
            and app.label != field.related_model._meta.app_label
        ):
            key = f"{field.model._meta.label}.{field.name}"
            found += [WayBack(each, key, app.label) for each in {name, field.related_query_name()} - {"+"}]
    return found


def _history() -> type:
    from cad_platform.core.models import Event

    return Event


def said(source: str, name: str) -> list[int]:
    """Lines of a source that say a relation's name: as an attribute, or in a lookup."""
    part = re.compile(rf"(^|__){re.escape(name)}(__|$)")
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == name and not _is_module(node):
            lines.append(node.lineno)
        elif isinstance(node, ast.keyword) and node.arg and part.search(node.arg) and "__" in node.arg:
            lines.append(node.value.lineno)
        elif isinstance(node, ast.Call) and _called(node) in LOOKUPS:
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if _called(node) in {"filter", "exclude", "get", "Q"}:
                words += [keyword.arg for keyword in node.keywords]
            lines += [
                node.lineno for word in words if isinstance(word, str) and part.search(word.lstrip("-"))
            ]
    return lines


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_module(node: ast.Attribute) -> bool:
    """`cad_platform.studies` names an app, no relation."""
    return isinstance(node.value, ast.Name) and node.value.id == "cad_platform"


def sources_below(owner: str) -> Iterator[Path]:
    level = floors()
    for app in platform_apps():
        if level[app.label] < level[owner]:
            yield from (
                path for path in sorted(Path(app.path).rglob("*.py")) if "migrations" not in path.parts
            )


@pytest.mark.parametrize("way", ways_back(), ids=lambda way: f"{way.key}={way.name}")
def test_no_lower_floor_says_the_name_of_a_way_back(way: WayBack) -> None:
    found = [
        f"{path.relative_to(PLATFORM)}:{line}"
        for path in sources_below(way.owner)
        for line in said(path.read_text(), way.name)
    ]
    assert found == []


def test_keys_point_downward() -> None:
    level = floors()
    upward = {
        (field.model._meta.label, field.name)
        for field, app in keys()
        if level[field.related_model._meta.app_label] > level[app.label]
    }
    assert upward == UPWARD_KEYS


def test_reports_have_no_way_back_at_all() -> None:
    """What reading may know of a report it is told (`reading.report_standing`)."""
    assert not [way for way in ways_back() if way.key.startswith("reporting.Report.")]


@pytest.mark.parametrize(
    "source",
    [
        'studies.annotate(main=FilteredRelation("reports", condition=Q(reports__kind="report")))',
        "study.reports.filter(state='signed')",
        "Study.objects.filter(reports__state='draft')",
        "Study.objects.filter(reports=report)",
        "Study.objects.order_by('-reports__created_at')",
        "Patient.objects.filter(studies__reports__isnull=True)",
    ],
)
def test_a_planted_look_upward_is_seen(source: str) -> None:
    assert said(source, "reports")


@pytest.mark.parametrize(
    "source", ["reports = 1", "show(reports=2)", "print('reports')", "import cad_platform.reports"]
)
def test_other_uses_of_the_word_are_none(source: str) -> None:
    assert said(source, "reports") == []
