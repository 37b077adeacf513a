"""The one shape that every importer yields, and the rule that every split obeys: a group never straddles."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from inference.contract import Box, Point
from inference.datasets.notes import Defect, Notes, Trouble, count_sentences


class DatasetError(Exception):
    """A tree is not the data set that it was taken for. The sentence says which file is missing."""


class LeakError(Exception):
    """A group stands on both sides of a split."""


Item = TypeVar("Item")

#: What kind of picture a set holds: the name of the pipeline (`inference/runtime`) that reads such pictures.
HISTOPATHOLOGY, MAMMOGRAPHY, ULTRASOUND = "histopathology", "mammography", "ultrasound"


@dataclass(frozen=True)
class Outline:
    """A region drawn in an annotation file: a closed polygon in stored pixels (level 0 of a slide).

    One or two points stand for single spots. A `hole` is cut out of the outlines before it."""

    label: str
    points: tuple[Point, ...]
    hole: bool = False


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    `group_id` is the unit of every split: a patient, or near-duplicates where no patients are known.
    `label_binary` is True for the positive class of the set's own task, None where the set does not say.
    `parts` are the other files of a slide that has several.
    `place` is the middle of a field of a slide, in pixels of its level 0; such a sample is that field.
    Boxes are `(x0, y0, x1, y1)` in stored pixels, origin top left. Of a set that is a table `numbers` are the row
    and `path` its name inside the file; there is no picture then.
    """

    id: str
    dataset: str
    discipline: str
    path: Path
    group_id: str
    label: str
    label_binary: bool | None
    patient_id: str | None = None
    laterality: str | None = None
    view: str | None = None
    magnification: str | None = None
    density: str | None = None
    birads: str | None = None
    split: str | None = None
    spacing_um: float | None = None
    masks: tuple[Path, ...] = ()
    boxes: tuple[Box, ...] = ()
    outlines: tuple[Outline, ...] = ()
    centre: str | None = None
    numbers: tuple[float, ...] = ()
    place: Point | None = None
    parts: tuple[Path, ...] = ()
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What an importer found: samples, a sentence for everything that was not as expected, and those of the
    sentences that are about files, with the files."""

    dataset: str
    licence: str
    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()
    defects: tuple[Defect, ...] = ()

    @classmethod
    def noted(cls, dataset: str, licence: str, samples: Iterable[Sample], notes: Notes) -> Manifest:
        return cls(dataset, licence, tuple(samples), tuple(notes.warnings), tuple(notes.defects))

    @property
    def unreadable(self) -> tuple[Path, ...]:
        """Every file that the importer could not read, in whole or in part."""
        named = [d.files for d in self.defects if d.trouble is Trouble.UNREADABLE]
        return tuple(dict.fromkeys(path for files in named for path in files))

    @property
    def of_table(self) -> bool:
        """Whether its samples are rows of numbers."""
        return any(sample.numbers for sample in self.samples)

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(sample.label for sample in self.samples))

    def part(self, split: str) -> tuple[Sample, ...]:
        """The samples of the published split `train` or `val`.

        Raises
        ------
        LeakError
            A group has samples in more than one published split.
        """
        assert_disjoint({name: [s for s in self.samples if s.split == name] for name in self.splits})
        return tuple(sample for sample in self.samples if sample.split == split)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(sorted({sample.split for sample in self.samples if sample.split}))


def assert_disjoint(parts: dict[str, Sequence[Sample]]) -> None:
    """Raises `LeakError` naming the first group, or the first patient, that stands in two of `parts`. Each set numbers
    its own: equal names of two sets mean nothing."""
    for attribute in ("group_id", "patient_id"):
        seen: dict[tuple[str, str], str] = {}
        for name, samples in parts.items():
            for sample in samples:
                value = getattr(sample, attribute)
                key = (sample.dataset, value)
                if value is not None and seen.setdefault(key, name) != name:
                    raise LeakError(f"{attribute} {value} stands in both {seen[key]} and {name}")


@dataclass(frozen=True)
class Split:
    """Indices into a manifest's samples. `straddling` names the groups that a published split puts on both
    sides: it is kept as published so that figures compare, and every report of it says so."""

    name: str
    train: tuple[int, ...]
    held_out: tuple[int, ...]
    straddling: tuple[str, ...] = ()

    @classmethod
    def published(
        cls, name: str, samples: Sequence[Sample], train: Sequence[int], held_out: Sequence[int]
    ) -> Split:
        both = {samples[i].group_id for i in train} & {samples[i].group_id for i in held_out}
        return cls(name, tuple(train), tuple(held_out), tuple(sorted(both)))


def expected_counts(
    dataset: str, found: dict[str, int], expected: dict[str, int], *, what: str = "images"
) -> list[str]:
    """One warning a class whose number differs from the published one; never an error, sets get repaired."""
    return count_sentences(dataset, found, expected, what=what)


def grouped_folds(samples: Sequence[Sample], folds: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """`folds` pairs of (train, held-out) indices; groups whole, classes balanced greedily.

    Groups are dealt out in random order, large ones first, each to the fold where its class is rarest.

    Raises
    ------
    ValueError
        Fewer groups than folds.
    """
    by_group: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        by_group[sample.group_id].append(index)
    if len(by_group) < folds:
        raise ValueError(f"{len(by_group)} groups cannot be dealt to {folds} folds")
    order = np.random.default_rng(seed).permutation(sorted(by_group))
    labels = sorted({sample.label for sample in samples})
    totals = Counter(sample.label for sample in samples)
    held: list[Counter[str]] = [Counter() for _ in range(folds)]
    fold_of: dict[str, int] = {}
    for group in sorted(order, key=lambda name: -len(by_group[name])):
        counts = Counter(samples[index].label for index in by_group[group])

        def crowding(fold: int, counts: Counter[str] = counts) -> tuple[float, int]:
            load = sum((held[fold][label] + counts[label]) ** 2 / totals[label] for label in labels)
            other = sum(held[fold][label] ** 2 / totals[label] for label in labels)
            return load - other, sum(held[fold].values())

        fold_of[group] = min(range(folds), key=crowding)
        held[fold_of[group]] += counts
    pairs = []
    for fold in range(folds):
        outside = [i for i, s in enumerate(samples) if fold_of[s.group_id] == fold]
        inside = [i for i, s in enumerate(samples) if fold_of[s.group_id] != fold]
        assert_disjoint({"train": [samples[i] for i in inside], "held out": [samples[i] for i in outside]})
        pairs.append((inside, outside))
    return pairs


def evenly(items: Sequence[Item], most: int | None) -> list[Item]:
    """`most` of `items`, evenly drawn from first to last; all without a limit."""
    count = len(items) if most is None else min(most, len(items))
    return [items[index * len(items) // count] for index in range(count)]
