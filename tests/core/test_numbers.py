"""Whole numbers of addresses, forms and headers."""

from __future__ import annotations

import pytest

from cad_platform.core.numbers import LONG_DIGITS, whole_number


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("999999999", 999_999_999)])
def test_plain_digits_are_a_number(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "+1",
        "-1",
        "1_0",
        "1.0",
        "1e3",
        "0x1",
        "٣",
        "１",
        "²",
        "1\x00",
        "9" * 10,
        "9" * 5000,
        "NaN",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert whole_number(text) is None


def test_as_many_digits_as_the_place_holds() -> None:
    assert whole_number("9" * LONG_DIGITS, digits=LONG_DIGITS) == 10**18 - 1
    assert whole_number("1" + "0" * LONG_DIGITS, digits=LONG_DIGITS) is None
