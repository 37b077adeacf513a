"""Deletion and insertion (Petsiuk, Das and Saenko 2018): do the places that a map names decide the answer?

Squares of the image give way to its blurred self, hottest first (deletion), or come back to the blurred image
(insertion). The area under the probability is compared with that of random orders of the same squares: single
pixels would not be fair to chance, since a network is lost after a few of them wherever they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from inference.champions.explained import Canvas, Method, Reading
from inference.explain.measure import Outcome
from inference.explain.methods import heat_of, probability
from inference.explain.network import Answer
from inference.explain.subject import Subject, blurred, planes_of, tensor_of
from inference.runtime.geometry import Map

STEPS = 16
RANDOM_ORDERS = 3
#: A square's side, as a share of the canvas's shorter side.
_SQUARE = 1 / 16

Cells = NDArray[np.int32]


def cells_of(canvas: Canvas, side: int | None = None) -> Cells:
    """H×W: the number of the square that a pixel belongs to, counted from 0; −1 outside the picture."""
    height, width = canvas.picture.shape
    side = side or max(1, round(min(height, width) * _SQUARE))
    across = -(-width // side)
    numbers = (np.arange(height)[:, None] // side) * across + np.arange(width)[None] // side
    _, dense = np.unique(numbers[canvas.picture], return_inverse=True)
    cells = np.full((height, width), -1, np.int32)
    cells[canvas.picture] = dense
    return cells


def order_of(heat: Map, cells: Cells, generator: np.random.Generator) -> NDArray[np.int64]:
    """Squares by their mean heat, hottest first; equal ones in random order."""
    inside = cells >= 0
    sums = np.bincount(cells[inside], weights=heat[inside].astype(np.float64))
    means = sums / np.bincount(cells[inside])
    shuffled = generator.permutation(len(means))
    return np.asarray(shuffled[np.argsort(-means[shuffled], kind="stable")], np.int64)


def centre_gaussian(canvas: Canvas) -> Map:
    """A map that knows only that lesions are photographed in the middle: σ a quarter of the picture."""
    rows, columns = np.flatnonzero(canvas.picture.any(axis=1)), np.flatnonzero(canvas.picture.any(axis=0))
    y, x = np.ogrid[: canvas.picture.shape[0], : canvas.picture.shape[1]]
    down = (y - (rows[0] + rows[-1]) / 2) / max(1, (rows[-1] - rows[0]) / 4)
    across = (x - (columns[0] + columns[-1]) / 2) / max(1, (columns[-1] - columns[0]) / 4)
    return np.asarray(np.exp(-(down**2 + across**2) / 2), np.float32)


def areas(
    network: Answer, reading: Reading, label: str, canvas: Canvas, cells: Cells, order: NDArray[np.int64],
    steps: int = STEPS,
) -> tuple[float, float]:  # fmt: skip
    """Areas under the probability of `label` while squares are deleted, and inserted, in `order`; 0–1."""
    planes, background = planes_of(canvas.tensor), planes_of(blurred(canvas))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    ranks = np.where(cells >= 0, rank[np.maximum(cells, 0)], len(order))
    deleted, inserted = [], []
    for count in np.linspace(0, len(order), steps + 1).round().astype(int):
        gone = (ranks < count)[:, :, None]
        deleted.append(tensor_of(np.where(gone, background, planes)))
        inserted.append(tensor_of(np.where(gone, planes, background)))
    chances = probability(
        network, reading, label, torch.from_numpy(np.concatenate([*deleted, *inserted]))
    ).astype(np.float64)
    return _area(chances[: steps + 1]), _area(chances[steps + 1 :])


def _area(values: NDArray[np.float64]) -> float:
    return float((values[:-1] + values[1:]).mean() / 2)


def compare(
    name: str, method: Callable[[str], Method], network: Answer, reading: Reading,
    subjects: Sequence[Subject], *, steps: int = STEPS, seed: int = 0,
) -> list[Outcome]:  # fmt: skip
    """For every subject of the positive class four outcomes, each an advantage of the map (positive is better):
    deletion and insertion, against random orders (the mean of `RANDOM_ORDERS`) and against the centre."""
    outcomes = []
    for number, subject in enumerate(subjects):
        if subject.label != reading.positive:
            continue
        generator = np.random.default_rng([seed, number])
        canvas, label = subject.canvas, subject.label
        cells = cells_of(canvas)

        def area(
            order: NDArray[np.int64], canvas: Canvas = canvas, cells: Cells = cells
        ) -> tuple[float, float]:
            return areas(network, reading, reading.positive, canvas, cells, order, steps)

        heat = heat_of(name, method(label)(canvas))
        deletion, insertion = area(order_of(heat, cells, generator))
        count = int(cells.max()) + 1
        random = np.mean([area(generator.permutation(count)) for _ in range(RANDOM_ORDERS)], axis=0)
        centre = area(order_of(centre_gaussian(canvas), cells, generator))
        for check, value in (
            ("deletion, better than random", float(random[0]) - deletion),
            ("insertion, better than random", insertion - float(random[1])),
            ("deletion, better than the centre", centre[0] - deletion),
            ("insertion, better than the centre", insertion - centre[1]),
        ):
            outcomes.append(Outcome(check, name, subject.image, subject.group, value))
    return outcomes
