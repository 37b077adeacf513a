"""The bench of scale: what is called missed."""

from __future__ import annotations

from bench.scale import PAGE, POLL, Cost, Round, shortcomings


def measured(studies: int, page_ms: float, poll_ms: float, poll_cpu_ms: float) -> Round:
    costs = {PAGE: Cost(page_ms, page_ms, page_ms), POLL: Cost(poll_ms, poll_ms, poll_cpu_ms)}
    return Round(studies, 1.0, 1_000_000, costs)


def test_what_keeps_to_the_limits_is_not_named() -> None:
    assert shortcomings(measured(1000, 60, 10, 8), measured(100_000, 75, 12, 9)) == []


def test_a_page_may_neither_be_slow_nor_grow() -> None:
    (slow, grown) = shortcomings(measured(1000, 60, 10, 8), measured(100_000, 160, 12, 9))
    assert "160 ms" in slow and "2.67 times" in grown


def test_ten_browsers_ask_every_four_seconds() -> None:
    many = measured(100_000, 75, 12, 44)
    assert round(many.core, 3) == 0.11
    (missed,) = shortcomings(measured(1000, 70, 11, 44), many)
    assert "11% of one core" in missed
