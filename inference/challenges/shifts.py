"""Learned there, asked here: every pair of collections and scanners, as the images are and made to look alike.

A way of making alike learns from the training side of the domain that is learned from, and changes its images and those
of the domain that is asked: what a hospital that takes over a model can do without labels of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.challenges.chart import Chart, Line
from inference.challenges.cohort import auc, mean_known, two_classes
from inference.challenges.embeddings import Rgb, Rows, View, embedded, picture
from inference.challenges.harmonise import learned
from inference.challenges.probe import Scale, probabilities
from inference.challenges.report import ChallengeError, Figure, Table
from inference.datasets.sample import Sample, evenly, grouped_folds
from inference.evaluation import bootstrap
from inference.evaluation.scanners import SCANNERS, Scanner

#: As the images are.
PLAIN = "as they are"
_REFERENCES = 64


@dataclass(frozen=True)
class Domain:
    """Images of one collection and scanner; `see` where the scanner is a simulated one."""

    name: str
    samples: tuple[Sample, ...]
    see: Callable[[Rgb], Rgb] | None = None


@dataclass(frozen=True)
class Cell:
    """AUC of what was learned on one domain and asked of another, and what a way of making alike adds (paired)."""

    learned_on: str
    asked_of: str
    way: str
    auc: Figure
    gain: Figure | None


#: What is compared in each discipline: sets, ways, and simulated scanners where the collection names none.
DISCIPLINES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "ultrasound": (("busi", "busbra"), ("histogram", "style"), ()),
    "mammography": (("mini_mias", "cbis_mass_256"), ("histogram", "style"), ()),
    "histopathology": (("idc",), ("reinhard", "macenko"), ("pale", "pink", "other dyes")),
}


def domains(discipline: str, data: Path, limit: int) -> list[Domain]:
    """Collections divided by scanner, each at most `limit` images, evenly drawn; of breasts malignant against benign.

    Raises
    ------
    ChallengeError
        There are fewer than two domains with two classes.
    """
    sets, _, simulated = DISCIPLINES[discipline]
    found: list[Domain] = []
    for name in sets:
        samples = two_classes(data, name)
        if discipline != "histopathology":
            samples = tuple(
                replace(sample, label_binary=sample.label == "malignant")
                for sample in samples
                if sample.label in ("benign", "malignant")
            )
        devices = sorted({sample.extra.get("device", "") for sample in samples})
        for device in devices:
            own = [sample for sample in samples if sample.extra.get("device", "") == device]
            found.append(Domain(f"{name} {device}".strip(), tuple(evenly(own, limit))))
    for scanner in SCANNERS:
        if scanner.name in simulated:
            found.append(Domain(f"{sets[0]}, simulated: {scanner.name}", found[0].samples, _seen_by(scanner)))
    usable = [domain for domain in found if len({sample.label_binary for sample in domain.samples}) == 2]
    if len(usable) < 2:
        raise ChallengeError(f"{data} holds fewer than two collections or scanners of {discipline}")
    return usable


def _seen_by(scanner: Scanner) -> Callable[[Rgb], Rgb]:
    return lambda image: scanner.see(image[None])[0]


def matrix(
    found: Sequence[Domain], ways: Sequence[str], side: int, folds: int = 2, seed: int = 0
) -> list[Cell]:
    """Every pair of domains, as they are and by each way.

    A patient is learned from and asked about in different folds, whatever the domains.

    Raises
    ------
    ChallengeError
        A domain has fewer groups than folds, or a way can learn nothing from its images.
    """
    union = list(
        {(sample.dataset, sample.id): sample for domain in found for sample in domain.samples}.values()
    )
    try:
        pairs = grouped_folds(union, folds, seed)
    except ValueError as error:
        raise ChallengeError(str(error)) from None
    asked_in = {(union[i].dataset, union[i].id): fold for fold, (_, held) in enumerate(pairs) for i in held}
    fold_of = [np.array([asked_in[s.dataset, s.id] for s in domain.samples]) for domain in found]
    truth = [np.array([bool(s.label_binary) for s in domain.samples]) for domain in found]
    counts = [
        bootstrap.draw_counts(
            [s.group_id for s in d.samples], [str(s.label_binary) for s in d.samples], seed=seed
        )
        for d in found
    ]
    for own, where, domain in zip(truth, fold_of, found, strict=True):
        if any(len(set(own[side])) < 2 for fold in range(folds) for side in (where == fold, where != fold)):
            raise ChallengeError(f"{domain.name}: a fold lacks a class; take fewer folds or more images")
    cells: list[Cell] = []
    for here, source in enumerate(found):
        plain: dict[int, NDArray[np.float64]] = {}
        for way in (PLAIN, *ways):
            scores = [np.zeros(len(own)) for own in truth]
            for fold in range(folds):
                inside = np.flatnonzero(fold_of[here] != fold)
                change, digest = _way(way, source, inside, side)
                rows = _rows(source, inside, side, change, digest)
                scale = Scale.of(rows)
                for there, target in enumerate(found):
                    held = np.flatnonzero(fold_of[there] == fold)
                    asked = _rows(target, held, side, change, digest)
                    scores[there][held] = probabilities(scale(rows), truth[here][inside], scale(asked))
            for there, target in enumerate(found):
                values = mean_known(
                    np.stack([
                        auc(truth[there][own], scores[there][own], counts[there][:, own])
                        for fold in range(folds)
                        for own in [np.flatnonzero(fold_of[there] == fold)]
                    ])
                )  # fmt: skip
                plain.setdefault(there, values)
                gap = values - plain[there]
                gain = None if way == PLAIN else Figure.of(float(gap[0]), gap[1:])
                cells.append(
                    Cell(source.name, target.name, way, Figure.of(float(values[0]), values[1:]), gain)
                )
    return cells


def _way(
    way: str, source: Domain, inside: NDArray[np.int64], side: int
) -> tuple[Callable[[Rgb], Rgb] | None, str]:
    if way == PLAIN:
        return None, ""
    view = View(side=side, change=source.see)
    return learned(way, [picture(source.samples[i], view) for i in evenly(inside.tolist(), _REFERENCES)])


def _rows(
    domain: Domain, chosen: NDArray[np.int64], side: int, change: Callable[[Rgb], Rgb] | None, digest: str
) -> Rows:
    def both(image: Rgb) -> Rgb:
        seen = image if domain.see is None else domain.see(image)
        return seen if change is None else change(seen)

    simulated = "" if domain.see is None else domain.name
    view = View(side=side, changed_by=f"{simulated}|{digest}" if simulated or digest else "", change=both)
    return embedded([domain.samples[i] for i in chosen], view)


def tables(cells: Sequence[Cell]) -> list[Table]:
    """A matrix as the images are, and every cell by each way."""
    names = list(dict.fromkeys(cell.asked_of for cell in cells))
    by_name = {(cell.learned_on, cell.asked_of, cell.way): cell for cell in cells}
    rows: list[tuple[str | Figure, ...]] = [
        (name, *(by_name[name, other, PLAIN].auc for other in names))
        for name in dict.fromkeys(cell.learned_on for cell in cells)
    ]
    return [
        Table("matrix", "AUC as the images are: learned down, asked across", ("learned on", *names), rows),
        Table(
            "ways", "Made to look like what was learned from", ("cell", "learned on", "asked of", "way", "AUC", "gain"),
            [(f"{number}", cell.learned_on, cell.asked_of, cell.way, cell.auc, cell.gain)
             for number, cell in zip(_numbers(cells), cells, strict=True)],
        ),
    ]  # fmt: skip


def chart(cells: Sequence[Cell]) -> Chart:
    """A line a way over the cells, which the table numbers."""
    numbers = _numbers(cells)
    lines = [
        Line(way, [(float(n), c.auc.value, c.auc.low, c.auc.high)
                   for n, c in zip(numbers, cells, strict=True) if c.way == way])
        for way in dict.fromkeys(cell.way for cell in cells)
    ]  # fmt: skip
    ticks = [(float(n), str(n)) for n in dict.fromkeys(numbers)]
    return Chart(
        "shift_matrix", "Learned there, asked here", "cell of the table", "AUC an image", lines, ticks
    )


def _numbers(cells: Sequence[Cell]) -> list[int]:
    pairs = list(dict.fromkeys((cell.learned_on, cell.asked_of) for cell in cells))
    return [pairs.index((cell.learned_on, cell.asked_of)) + 1 for cell in cells]
