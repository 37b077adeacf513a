"""Bars and a curve as SVG's numbers: what a template draws in one colour, so that it reads in grey, with the same
numbers as a table beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 150
_FOOT = 18


@dataclass(frozen=True)
class Bar:
    """One bar with what stands under it. `shown` whether there is room for the label."""

    label: str
    value: float
    x: float
    y: float
    width: float
    height: float
    shown: bool

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)

    @property
    def words(self) -> str:
        return f"{self.value:g}"


@dataclass(frozen=True)
class Chart:
    """A chart with its title; `name` is its own on the page."""

    name: str
    title: str
    heads: tuple[str, str]
    bars: tuple[Bar, ...]
    top: float

    width: int = WIDTH
    height: int = HEIGHT
    foot: int = HEIGHT - _FOOT

    @property
    def label_y(self) -> int:
        return HEIGHT - 4

    @property
    def is_empty(self) -> bool:
        return self.top <= 0

    @property
    def top_words(self) -> str:
        return f"{self.top:g}"


def bars(
    name: str, title: str, heads: tuple[str, str], values: Sequence[tuple[str, float]], most: int = 8
) -> Chart:
    """A bar for each value, with at most `most` labels under them."""
    top = max((value for _label, value in values), default=0.0)
    slot = WIDTH / max(1, len(values))
    every = max(1, -(-len(values) // most))
    room = HEIGHT - _FOOT - 14
    drawn = tuple(
        Bar(
            label,
            value,
            round(index * slot + slot * 0.12, 1),
            round(HEIGHT - _FOOT - (room * value / top if top else 0), 1),
            round(slot * 0.76, 1),
            round(room * value / top if top else 0, 1),
            index % every == 0,
        )
        for index, (label, value) in enumerate(values)
    )
    return Chart(name, title, heads, drawn, top)


@dataclass(frozen=True)
class Tenth:
    """Cases of a range of probabilities: what was expected of them and what was found."""

    label: str
    cases: int
    expected: float
    found: float


def tenths(cases: Sequence[tuple[float, bool]]) -> list[Tenth]:
    """Cases by the tenth that their probability lies in, those with any."""
    made = []
    for tenth in range(10):
        own = [case for case in cases if min(9, int(case[0] * 10)) == tenth]
        if own:
            expected = sum(score for score, _ in own) / len(own)
            found = sum(truth for _, truth in own) / len(own)
            label = f"{tenth * 10}–{tenth * 10 + 10} %"
            made.append(Tenth(label, len(own), round(100 * expected, 1), round(100 * found, 1)))
    return made
