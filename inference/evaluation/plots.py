"""The card's curves as SVG, drawn by hand: the same records give the same bytes, and nothing has to be
installed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.contract import ModelManifest
from inference.evaluation.detection import Mark, froc
from inference.evaluation.protocol import parts, protocol_of, questions
from inference.evaluation.records import Record

PLOTS = "plots"
_SIDE = 320
_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 34, 18, 48
#: A curve needs no more corners than its plot has pixels.
_MOST_POINTS = 400
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Plot:
    """A square plot: one curve from (0, 0) to (`x_end`, 1), perhaps a dashed line to compare it with, and
    dots for single points."""

    name: str
    title: str
    x_words: str
    y_words: str
    curve: tuple[tuple[float, float], ...]
    compare: tuple[tuple[float, float], ...] = ()
    dots: tuple[tuple[float, float], ...] = ()
    x_end: float = 1.0

    @property
    def file(self) -> str:
        return f"{self.name}.svg"


def plots(manifest: ModelManifest, records: Sequence[Record]) -> list[Plot]:
    """ROC, precision-recall and reliability of every data set's leading question (reliability of those
    whose answer is a probability), FROC where lesions are marked."""
    found: list[Plot] = []
    for question in questions(records, manifest):
        sheet = protocol_of(question.dataset, manifest)
        short = question.name.removeprefix("auc_")
        where = f"{question.dataset}_{question.split}_{short}"
        words = f"{question.dataset} {question.split}: {short.replace('_', ' ')}"
        if short == sheet.asked[0].name:
            false, sensitivity, precision = _curves(question.truth, question.scores)
            base = float(question.truth.mean())
            found.append(
                Plot(f"roc_{where}", f"ROC, {words}", "1 − specificity", "sensitivity",
                     tuple(zip(false, sensitivity, strict=True)), ((0.0, 0.0), (1.0, 1.0)))
            )  # fmt: skip
            found.append(
                Plot(f"pr_{where}", f"Precision-recall, {words}", "sensitivity (recall)", "precision",
                     tuple(zip(sensitivity[1:], precision, strict=True)), ((0.0, base), (1.0, base)))
            )  # fmt: skip
        if short in sheet.calibrated:
            found.append(
                Plot(f"reliability_{where}", f"Reliability, {words}", "probability said", "share true",
                     (), ((0.0, 0.0), (1.0, 1.0)), _reliability(question.truth, question.scores))
            )  # fmt: skip
    for dataset, split, own in parts(records):
        lesions = sum(record.lesions for record in own)
        if protocol_of(dataset, manifest).marked and lesions:
            found.append(_froc(dataset, split, own, lesions))
    return found


def write_plots(folder: Path, drawn: Sequence[Plot]) -> list[Path]:
    """`folder/plots/NAME.svg`, and no other SVG there."""
    into = folder / PLOTS
    into.mkdir(exist_ok=True)
    for stale in set(into.glob("*.svg")) - {into / plot.file for plot in drawn}:
        stale.unlink()
    for plot in drawn:
        (into / plot.file).write_text(svg(plot), encoding="utf-8")
    return [into / plot.file for plot in drawn]


def roc(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> list[tuple[float, float]]:
    """1 − specificity and sensitivity at every level, from (0, 0) to (1, 1); both classes must be there."""
    false, sensitivity, _ = _curves(truth, scores)
    return list(zip(false, sensitivity, strict=True))


def _curves(
    truth: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[list[float], list[float], list[float]]:
    """1 − specificity and sensitivity from (0, 0) on, precision at every level."""
    order = np.argsort(-scores, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]
    found, false = np.cumsum(truth[order])[last], np.cumsum(~truth[order])[last]
    precision = found / (found + false)
    return (
        [0.0, *(false / false[-1]).tolist()],
        [0.0, *(found / found[-1]).tolist()],
        precision.tolist(),
    )


def _reliability(truth: NDArray[np.bool_], chances: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    bins = np.minimum((chances * 10).astype(int), 9)
    return tuple(
        (float(chances[bins == number].mean()), float(truth[bins == number].mean()))
        for number in np.unique(bins)
    )


def _froc(dataset: str, split: str, own: Sequence[Record], lesions: int) -> Plot:
    marks = [
        Mark(number, score, frozenset({lesion}) if lesion else frozenset())
        for number, record in enumerate(own)
        for score, lesion in record.marks
    ]
    curve = froc(marks, lesions, len(own))
    points = ((0.0, 0.0), *zip(curve.false_marks, curve.sensitivity, strict=True))
    end = max(1.0, float(np.ceil(max(x for x, _ in points))))
    return Plot(
        f"froc_{dataset}_{split}", f"FROC, {dataset} {split}", "false marks an image", "lesions found",
        points, ((1.0, 0.0), (1.0, 1.0)), x_end=end,
    )  # fmt: skip


def svg(plot: Plot) -> str:
    """The plot as an SVG file of 394×402 px; coordinates to a tenth of a pixel."""
    width, height = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM

    def place(x: float, y: float) -> str:
        return f"{_LEFT + _SIDE * min(x / plot.x_end, 1):.1f},{_TOP + _SIDE * (1 - min(y, 1)):.1f}"

    def line(points: Points, style: str) -> str:
        corners = " ".join(place(x, y) for x, y in points)
        return f'<polyline points="{corners}" fill="none" {style}/>'

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" fill="#222">',
        f"<title>{plot.title}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="13">{plot.title}</text>',
    ]
    for tick in range(5):
        share = tick / 4
        x, y = _LEFT + _SIDE * share, _TOP + _SIDE * (1 - share)
        drawn += [
            f'<path d="M{x:.1f} {_TOP}V{_TOP + _SIDE}M{_LEFT} {y:.1f}H{_LEFT + _SIDE}" stroke="#ddd"/>',
            f'<text x="{x:.1f}" y="{_TOP + _SIDE + 15}" text-anchor="middle">{plot.x_end * share:g}</text>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:g}</text>',
        ]
    drawn += [
        f'<text x="{_LEFT + _SIDE / 2:.1f}" y="{height - 12}" text-anchor="middle">{plot.x_words}</text>',
        f'<text transform="translate(16 {_TOP + _SIDE / 2:.1f}) rotate(-90)" text-anchor="middle">'
        f"{plot.y_words}</text>",
    ]
    if plot.compare:
        drawn.append(line(plot.compare, 'stroke="#888" stroke-dasharray="4 4"'))
    if plot.curve:
        drawn.append(line(thinned(plot.curve), 'stroke="#0b5cad" stroke-width="2"'))
    for x, y in plot.dots:
        at = place(x, y).split(",")
        drawn.append(f'<circle cx="{at[0]}" cy="{at[1]}" r="4" fill="#0b5cad"/>')
    if plot.dots:
        drawn.append(line(plot.dots, 'stroke="#0b5cad"'))
    return "\n".join((*drawn, "</svg>", ""))


def thinned(points: Points) -> Points:
    """At most as many corners as a plot has pixels: every k-th, the ends kept."""
    if len(points) <= _MOST_POINTS:
        return points
    chosen = np.unique(np.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(int))
    return [points[index] for index in chosen]
