"""What people and systems type is made fit to keep in one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cad_platform
from cad_platform.core.errors import Invalid
from cad_platform.studies.typed_text import cleaned, has_controls, reason_of

PLATFORM = Path(cad_platform.__file__).parent


@given(st.text(max_size=100))
def test_a_cleaned_text_keeps_every_visible_character(text: str) -> None:
    kept = cleaned(text)
    assert not has_controls(kept.replace("\n", "").replace("\t", ""))
    assert cleaned(kept) == kept
    if not has_controls(text):
        assert kept == text


def test_line_breaks_are_line_feeds() -> None:
    assert cleaned("a\r\nb\rc\x00\ud800\td") == "a\nb\nc\td"


def test_a_reason_is_trimmed_and_may_be_empty() -> None:
    assert reason_of("  Skin fold\x00.\n", longest=20) == "Skin fold."
    assert reason_of(" \n", longest=20) == ""


def test_a_reason_that_is_too_long_is_refused_and_never_cut() -> None:
    assert reason_of("x" * 20, longest=20) == "x" * 20
    with pytest.raises(Invalid) as refusal:
        reason_of("x" * 21, longest=20)
    assert [error.field for error in refusal.value.errors] == ["reason"]
    assert "20" in refusal.value.detail


def names_control_categories(source: str) -> bool:
    """Whether a source looks for control characters by itself: by their Unicode categories."""
    return any(isinstance(node, ast.Constant) and node.value == "Cc" for node in ast.walk(ast.parse(source)))


def test_nobody_else_decides_what_a_control_character_is() -> None:
    owners = [path for path in PLATFORM.rglob("*.py") if names_control_categories(path.read_text())]
    assert [str(path.relative_to(PLATFORM)) for path in owners] == ["studies/typed_text.py"]


def test_another_who_decides_would_be_seen() -> None:
    assert names_control_categories('unicodedata.category(c) in {"Cc", "Cs"}')
