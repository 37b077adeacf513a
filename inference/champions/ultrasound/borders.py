"""Who is held out from whom: folds within all collections, and networks that have seen nothing of one collection or of
one scanner."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.champions.plan import Plan
from inference.champions.ultrasound.train import scanner
from inference.datasets.sample import Sample, assert_disjoint, grouped_folds
from inference.evaluation.records import Part


@dataclass(frozen=True)
class Border:
    """A training of record: indices into all samples of those that it learns from, of those that it is calibrated on
    and of those that it is measured on. No group stands in two of them. `name`: its folder, `split`: what its
    predictions of record are called."""

    name: str
    split: Part
    inside: tuple[int, ...]
    kept: tuple[int, ...]
    outside: tuple[int, ...]


def folds(plan: Plan, samples: Sequence[Sample]) -> list[tuple[list[int], list[int]]]:
    """The recipe's folds: indices inside and outside. A collection that came with so many folds of its own keeps them,
    the others are dealt by group."""
    count = plan.recipe.protocol.folds
    assert count is not None
    fold_of: dict[int, int] = {}
    for own in _by(samples, lambda sample: sample.dataset).values():
        published = [samples[index].extra.get("fold", "") for index in own]
        if set(published) == {str(fold) for fold in range(count)}:
            fold_of |= {index: int(fold) for index, fold in zip(own, published, strict=True)}
            continue
        for fold, (_, outside) in enumerate(grouped_folds([samples[i] for i in own], count, plan.seed)):
            fold_of |= {own[place]: fold for place in outside}
    pairs = []
    for fold in range(count):
        outside = [index for index in range(len(samples)) if fold_of[index] == fold]
        inside = [index for index in range(len(samples)) if fold_of[index] != fold]
        assert_disjoint({"train": [samples[i] for i in inside], "held out": [samples[i] for i in outside]})
        pairs.append((inside, outside))
    return pairs


def left_out(plan: Plan, samples: Sequence[Sample]) -> list[Border]:
    """The recipe's leave-one-out trainings, collections first; calibrated on the first fold of what is not left out."""
    kept = set(folds(plan, samples)[0][1])
    asked = plan.recipe.protocol.leave_out
    collections = _by(samples, lambda sample: sample.dataset)
    scanners = {name: own for name, own in _by(samples, scanner).items() if name not in collections}
    found: list[tuple[Part, str, list[int]]] = []
    if "collection" in asked and len(collections) > 1:
        found += [("left_out_collection", name, own) for name, own in collections.items()]
    if "scanner" in asked and len(scanners) > 1:
        found += [("left_out_scanner", name, own) for name, own in scanners.items()]
    borders = []
    for split, name, outside in found:
        groups = {(samples[index].dataset, samples[index].group_id) for index in outside}
        others = [
            index for index, sample in enumerate(samples) if (sample.dataset, sample.group_id) not in groups
        ]
        border = Border(
            f"without-{re.sub('[^a-z0-9]+', '-', name.lower())}",
            split,
            tuple(index for index in others if index not in kept),
            tuple(index for index in others if index in kept),
            tuple(outside),
        )
        assert_disjoint(
            {
                part: [samples[i] for i in numbers]
                for part, numbers in (
                    ("train", border.inside), ("calibration", border.kept), ("held out", border.outside),
                )
            }
        )  # fmt: skip
        borders.append(border)
    return borders


def _by(samples: Sequence[Sample], name: Callable[[Sample], str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        found[name(sample)].append(index)
    return dict(found)
