"""What a number of exams needs follows from what one costs, and the page says what the measurement says."""

from __future__ import annotations

import math

import pytest

from bench.scaling import (
    BUSIEST,
    BUSY,
    HOURS,
    MIX,
    PAGES,
    READ_BY_ONE,
    SITES,
    YEARS,
    Cost,
    Reading,
    as_markdown,
    needs,
    read,
)
from embedded.state import REPOSITORY

COSTS = {
    "mammography": Cost({"models": 2.0, "web": 1.0}, 40e6, 20e3),
    "ultrasound": Cost({"models": 0.1, "web": 0.1}, 1e6, 10e3),
    "slide": Cost({"models": 30.0, "workers": 10.0}, 500e6, 50e3),
}
READING = Reading(page_s=0.1, open_list_s=0.003)


def test_the_formula() -> None:
    found = needs(COSTS, READING, 90_000)
    a_second = 90_000 / HOURS / 3600 * BUSIEST  # 0.02
    assert found.cores["models"] == pytest.approx(a_second * (0.8 * 2 + 0.17 * 0.1 + 0.03 * 30) / BUSY)
    people = math.ceil(90_000 / READ_BY_ONE)
    assert found.cores["reading"] == pytest.approx((a_second * PAGES * 0.1 + people * 0.003) / BUSY)
    assert found.stored_bytes == pytest.approx(90_000 * YEARS * (0.8 * 40e6 + 0.17 * 1e6 + 0.03 * 500e6))
    assert sum(MIX.values()) == pytest.approx(1)


def test_ten_times_the_exams_need_ten_times_as_much() -> None:
    one, ten = needs(COSTS, READING, 100_000), needs(COSTS, READING, 1_000_000)
    assert ten.all_cores == pytest.approx(10 * one.all_cores)
    assert ten.database_bytes == pytest.approx(10 * one.database_bytes)


def test_the_page_holds_what_the_measurement_on_record_gives() -> None:
    """`bin/bench scaling --from docs/scaling.json` prints it."""
    said = (REPOSITORY / "docs" / "scaling.md").read_text()
    assert as_markdown(*read(REPOSITORY / "docs" / "scaling.json"), SITES) in said
