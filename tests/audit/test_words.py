"""Each app declares what the actions that it records are called on screen: every one, and no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from cad_platform.audit.words import action_words, actor_words
from cad_platform.core.declarations import PlatformApp, platform_apps

#: Function that records the action it is told → the name of that argument, or else it is the second.
RECORDERS = {
    "record": "action",
    "record_of": "action",
    "_record": "action",
    "_order_recorded": "action",
    "reauthenticate": "purpose",
    "verify_password": "purpose",  # pragma: allowlist secret
}


def recorded_actions(folder: Path) -> Iterator[str]:
    """The actions that the modules of an app record, as the calls write them; a fault where one cannot be read."""
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text())
        tables = {
            node.target.id: node.value
            for node in tree.body
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(node.value, ast.Dict)
        }
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            # A recorder hands on what it was told: its callers are looked at.
            told = RECORDERS.get(function.name)
            for call in [node for node in ast.walk(function) if isinstance(node, ast.Call)]:
                argument = action_of(call)
                if argument is not None and not (isinstance(argument, ast.Name) and argument.id == told):
                    yield from values(argument, tables, f"{path}:{call.lineno}")


def action_of(call: ast.Call) -> ast.expr | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in RECORDERS:
        return None
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    argument = named.get(RECORDERS[name])
    return argument if argument is not None or len(call.args) < 2 else call.args[1]


def values(argument: ast.expr, tables: dict[str, ast.Dict], where: str) -> Iterator[str]:
    match argument:
        case ast.Constant(value=str(action)):
            yield action
        case ast.IfExp(body=one, orelse=other):
            yield from values(one, tables, where)
            yield from values(other, tables, where)
        case ast.Subscript(value=ast.Name(id=name)) if name in tables:
            for value in tables[name].values:
                yield from values(value, tables, where)
        case _:
            pytest.fail(f"{where}: no action that can be read here; write it as a constant or from a table")


@pytest.mark.parametrize("app", list(platform_apps()), ids=lambda app: app.label)
def test_an_app_has_words_for_what_it_records_and_for_nothing_else(app: PlatformApp) -> None:
    assert set(app.audit_actions) == set(recorded_actions(Path(app.path)))
    assert set(app.audit_attempts) <= set(app.audit_actions)


def test_no_action_is_declared_by_two_apps() -> None:
    declared = [action for app in platform_apps() for action in app.audit_actions]
    assert len(declared) > 50 and sorted(declared) == sorted(set(declared))


def test_what_was_only_tried_does_not_read_as_done() -> None:
    assert action_words("report.sign", "wrong_password") == "Tried to sign"
    assert action_words("report.sign") == "Signed"
    assert action_words("something.new") == "something.new"


def test_processes_of_the_platform_are_told_from_people() -> None:
    assert actor_words("system:worker") == "The platform (worker)"
    assert actor_words("Ruth Adeyemi") == "Ruth Adeyemi"
