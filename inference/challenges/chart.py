"""Lines with bands in one picture, as SVG drawn by hand: the same numbers give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 640, 400
_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 34, 170, 48
#: Told apart in grey, too (Okabe and Ito 2008).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")


@dataclass(frozen=True)
class Line:
    """Points (x, y, low, high) from left to right."""

    name: str
    points: Sequence[tuple[float, float, float, float]]


@dataclass(frozen=True)
class Chart:
    """Lines over one axis, `ticks` (where, what is written there); `logarithmic` for x by factors."""

    name: str
    title: str
    x_words: str
    y_words: str
    lines: Sequence[Line]
    ticks: Sequence[tuple[float, str]]
    logarithmic: bool = False

    @property
    def file(self) -> str:
        return f"{self.name}.svg"


def svg(chart: Chart) -> str:
    """The chart as a file of 640×400 px."""
    xs = [x for line in chart.lines for x, *_ in line.points] + [x for x, _ in chart.ticks]
    ys = [y for line in chart.lines for _, *three in line.points for y in three if math.isfinite(y)]
    across, up = _Scale(xs, chart.logarithmic), _Scale([_down(min(ys)), _up(max(ys))])
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> str:
        return f"{_LEFT + wide * across(x):.1f},{_TOP + high * (1 - up(y)):.1f}"

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="11" fill="#222">',
        f"<title>{escape(chart.title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="13">{escape(chart.title)}</text>',
    ]
    bottom, top = _down(min(ys)), _up(max(ys))
    for step in range(6):
        value = bottom + (top - bottom) * step / 5
        y = _TOP + high * (1 - up(value))
        drawn.append(f'<path d="M{_LEFT} {y:.1f}h{wide}" stroke="#ddd"/>')
        drawn.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for where, words in chart.ticks:
        x = _LEFT + wide * across(where)
        drawn.append(f'<path d="M{x:.1f} {_TOP}v{high}" stroke="#eee"/>')
        drawn.append(f'<text x="{x:.1f}" y="{_TOP + high + 15}" text-anchor="middle">{escape(words)}</text>')
    drawn += [
        f'<text x="{_LEFT + wide / 2:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(chart.x_words)}</text>',
        f'<text transform="translate(14 {_TOP + high / 2:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y_words)}</text>",
    ]
    for number, line in enumerate(chart.lines):
        colour = _COLOURS[number % len(_COLOURS)]
        band = [place(x, upper) for x, _, _, upper in line.points]
        band += [place(x, lower) for x, _, lower, _ in reversed(line.points)]
        drawn.append(f'<polygon points="{" ".join(band)}" fill="{colour}" fill-opacity="0.15"/>')
        middle = " ".join(place(x, y) for x, y, _, _ in line.points)
        drawn.append(f'<polyline points="{middle}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, _, _ in line.points:
            at = place(x, y).split(",")
            drawn.append(f'<circle cx="{at[0]}" cy="{at[1]}" r="3" fill="{colour}"/>')
        y_name = _TOP + 14 + 18 * number
        drawn.append(
            f'<path d="M{_WIDTH - _RIGHT + 10} {y_name - 4}h16" stroke="{colour}" stroke-width="2"/>'
        )
        drawn.append(f'<text x="{_WIDTH - _RIGHT + 30}" y="{y_name}">{escape(line.name)}</text>')
    return "\n".join((*drawn, "</svg>", ""))


class _Scale:
    """A value's place between the smallest and the largest, 0 to 1."""

    def __init__(self, values: Sequence[float], logarithmic: bool = False) -> None:
        self._of = math.log if logarithmic else float
        self._low, self._high = self._of(min(values)), self._of(max(values))

    def __call__(self, value: float) -> float:
        span = self._high - self._low
        return 0.5 if span == 0 else (self._of(value) - self._low) / span


def _down(value: float) -> float:
    return math.floor(value * 20) / 20


def _up(value: float) -> float:
    higher = math.ceil(value * 20) / 20
    return higher if higher > _down(value) else higher + 0.05
