"""Every action that the code records has a name on screen."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from cad_platform.audit.words import ACTIONS, ATTEMPTS, action_words, actor_words
from embedded.state import REPOSITORY


def recorded_actions() -> Iterator[tuple[str, Path]]:
    """The constant second argument of each call to `record` and of its shorthands named `_record`."""
    for path in sorted((REPOSITORY / "cad_platform").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"record", "_record"}
                and len(node.args) > 1
                and isinstance(node.args[1], ast.Constant)
                and isinstance(node.args[1].value, str)
            ):
                yield node.args[1].value, path.relative_to(REPOSITORY)


def test_every_recorded_action_has_words() -> None:
    found = list(recorded_actions())
    assert len({action for action, _ in found}) > 25
    assert sorted({f"{action} ({path})" for action, path in found if action not in ACTIONS}) == []


def test_what_was_only_tried_does_not_read_as_done() -> None:
    assert set(ATTEMPTS) <= set(ACTIONS)
    assert action_words("report.sign", "wrong_password") == "Tried to sign"
    assert action_words("report.sign") == "Signed"
    assert action_words("something.new") == "something.new"


def test_processes_of_the_platform_are_told_from_people() -> None:
    assert actor_words("system:worker") == "The platform (worker)"
    assert actor_words("Ruth Adeyemi") == "Ruth Adeyemi"
