"""What commands take as a number: argparse refuses the rest in a sentence, before anything is read."""

from __future__ import annotations

from argparse import ArgumentTypeError

#: As many seeds as every library of random numbers takes.
SEEDS = 2**32


def count(text: str) -> int:
    """A whole number from 1 on: threads, images, workers."""
    value = _whole(text)
    if value < 1:
        raise ArgumentTypeError(f"a whole number from 1 on, not {value}")
    return value


def seed(text: str) -> int:
    """A whole number from 0 to `SEEDS`, without it."""
    value = _whole(text)
    if not 0 <= value < SEEDS:
        raise ArgumentTypeError(f"a whole number from 0 to {SEEDS - 1}, not {text}")
    return value


def length(text: str) -> float:
    """µm per pixel."""
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"a number of µm per pixel, not {text!r}") from None
    if not 0 < value < float("inf"):
        raise ArgumentTypeError("µm per pixel are above 0")
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"a whole number, not {text[:40]!r}") from None
