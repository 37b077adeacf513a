"""The plot of `docs/reproductions/`: a line a row of its table, with the review's number and ours both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import escape

from inference.recipes.protocol import LEAKY
from inference.recipes.reproduction import title_of

_WIDTH, _ROW, _LEFT, _RIGHT, _TOP = 900, 22, 360, 30, 84
#: Words to the left of the axis: what fits there at this size of type.
_LETTERS = 58
_LEGEND = (
    "● patient level, with its 95 % interval",
    "○ image level, leaky: for showing inflation only",
    "◇ the review: other data, often another measure",
)


def inflation(rows: Sequence[dict[str, Any]]) -> str:
    """The plot, in the order of the rows.

    Parameters
    ----------
    rows
        Those of the table (`reproduction_pages.row`).

    Returns
    -------
    str
        SVG; as high as its rows ask for, the axis above and below them.
    """
    foot = _TOP + _ROW * len(rows)
    height = foot + 32
    least = _least(rows)

    def across(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - least / 10) / (1 - least / 10)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="11" fill="#222">',
        f"<title>What a split adds. Image level is {LEAKY}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        *(
            f'<text x="12" y="{18 + 16 * number}" font-size="12">{line}</text>'
            for number, line in enumerate(_LEGEND)
        ),
    ]
    for number in range(
        1, len(rows), 2
    ):  # every second line is shaded, so that its name and its dots stay together
        drawn.append(
            f'<rect x="6" y="{_TOP + _ROW * number}" width="{_WIDTH - 12}" height="{_ROW}" fill="#f3f5f7"/>'
        )
    for tick in range(least, 11):
        x = across(tick / 10)
        drawn.append(f'<path d="M{x:.1f} {_TOP - 4}V{foot + 4}" stroke="#ddd"/>')
        for y in (_TOP - 10, foot + 18):
            drawn.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{tick / 10:g}</text>')
    for number, line in enumerate(rows):
        drawn += _line(line, _TOP + _ROW * number + _ROW // 2, across)
    return "\n".join((*drawn, "</svg>")) + "\n"


def _least(rows: Sequence[dict[str, Any]]) -> int:
    """The tenth that the axis begins at: the last one below all that is drawn."""
    shown = [figure["low"] for line in rows for figure in (line["patient_level"],) if figure is not None]
    shown += [
        figure["value"] for line in rows for figure in (line["image_level_leaky"],) if figure is not None
    ]
    shown += [line["review_number"] for line in rows if line["review_number"] is not None]
    return min(9, max(0, int(min(shown, default=0) * 10)))


def _line(line: dict[str, Any], y: int, across: Callable[[float], float]) -> list[str]:
    text = f"[{line['reference']}] {title_of(line)} ({line['measure']})"
    short = text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
    drawn = [f'<text x="12" y="{y + 4}">{escape(short)}</text>']
    if (theirs := line["review_number"]) is not None:
        drawn.append(
            f'<path d="M{across(theirs) - 5:.1f} {y}l5 -5l5 5l-5 5z" fill="none" stroke="#666" '
            'stroke-width="1.2"/>'
        )
    if (ours := line["patient_level"]) is not None:
        drawn.append(
            f'<path d="M{across(ours["low"]):.1f} {y}H{across(ours["high"]):.1f}" stroke="#1f5f8b" '
            'stroke-width="2"/>'
        )
        drawn.append(f'<circle cx="{across(ours["value"]):.1f}" cy="{y}" r="4" fill="#1f5f8b"/>')
    if (leaky := line["image_level_leaky"]) is not None:
        drawn.append(
            f'<circle cx="{across(leaky["value"]):.1f}" cy="{y}" r="5.5" fill="none" stroke="#b3541e" '
            'stroke-width="1.8"/>'
        )
    return drawn
