"""Whole numbers as addresses, forms and headers give them."""

from __future__ import annotations

#: What a database's `integer` surely holds.
KEY_DIGITS = 9
#: The same of a `bigint`.
LONG_DIGITS = 18


def whole_number(text: str, *, digits: int = KEY_DIGITS) -> int | None:
    """The number from 0 that a text of plain digits is; None where it is none, or has more digits than are asked for.

    `int` by itself would take signs, spaces, underscores and the digits of other scripts, refuse four thousand digits
    with a `ValueError`, and give numbers that no column holds.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None
