"""The bench of scale: what is called missed."""

from __future__ import annotations

from bench.scale import PAGE, POLL, Cost, Round, no_room, shortcomings


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


def test_where_there_is_no_room_the_reason_is_a_sentence_with_numbers() -> None:
    assert no_room(1_000_000, 10, 60e9) == ""
    reason = no_room(1_000_000, 10, 15e9)
    assert reason.startswith("NOT MEASURED: 1,000,000 studies") and "15 GB are free" in reason
