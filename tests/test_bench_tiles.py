"""The bench of tiles: what is called missed."""

from __future__ import annotations

from bench.tiles import Compared, shortcomings


def test_a_slide_that_is_slower_than_the_peer_is_named() -> None:
    fast = Compared("a.tif", "finest", 100, 0.2, 0.7, "Tiff")
    slow = Compared("b.tif", "half", 100, 2.7, 0.7, "Tiff")
    assert shortcomings([fast]) == []
    (missed,) = shortcomings([fast, slow])
    assert "b.tif, half: 0.26" in missed
