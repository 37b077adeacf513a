"""How durations are written on every page."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cad_platform.web.templatetags.interface import waiting


@pytest.mark.parametrize(
    ("waited", "words"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=8), "8 min"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
        (timedelta(days=3, hours=4, minutes=59), "3 d 4 h"),
        (timedelta(seconds=-5), "just now"),
        (None, ""),
    ],
)
def test_a_waiting_time_has_two_units_at_most(waited: timedelta | None, words: str) -> None:
    assert waiting(waited) == words
