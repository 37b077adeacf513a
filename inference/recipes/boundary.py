"""The border between training and held-out images of a fold: no group, no patient, no file and no look-alike
crosses it, and no prediction depends on who is predicted with it. What looks alike is the audit's to say
(`inference.datasets.audit`), on the files' own pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from inference.datasets.audit import near_duplicates
from inference.datasets.audit.alignment import Gray
from inference.datasets.audit.near_duplicates import RULES
from inference.datasets.pixels import read_gray
from inference.datasets.sample import HISTOPATHOLOGY, LeakError, Sample, assert_disjoint
from inference.recipes.provenance import Rows

#: Predictions of an image alone and among others may differ by rounding, not by more.
_ALONE = 1e-3


@dataclass(frozen=True)
class NearDuplicates:
    """Two files that show the same picture, and what the audit calls that."""

    first: Path
    second: Path
    kind: str
    agreement: float


def guard(
    train: Sequence[Sample],
    held_out: Sequence[Sample],
    digests: dict[Path, str],
    twins: Sequence[NearDuplicates] = (),
    *,
    leaky: bool = False,
) -> None:
    """
    Parameters
    ----------
    leaky
        Of the protocol `image_level`: images are dealt one by one, so that only the very same one is refused.

    Raises
    ------
    LeakError
        A group, a patient, identical bytes or one of `twins` stands on both sides.
    """
    assert_disjoint({"train": train, "held out": held_out})
    if leaky:
        return
    owners = {digests[sample.path]: sample for sample in train}
    for sample in held_out:
        copy = owners.get(digests[sample.path])
        if copy is not None:
            raise LeakError(
                f"{sample.path.name} (held out) and {copy.path.name} (train) are the same bytes "
                f"under groups {sample.group_id} and {copy.group_id}"
            )
    inside, outside = {sample.path for sample in train}, {sample.path for sample in held_out}
    for pair in twins:
        for ours, theirs in ((pair.first, pair.second), (pair.second, pair.first)):
            if ours in outside and theirs in inside:
                raise LeakError(
                    f"{ours.name} (held out) and {theirs.name} (train) look like copies ({pair.kind}, "
                    f"agreement {pair.agreement:.2f}); data.near_duplicates: join makes such images one group"
                )


def look_alikes(samples: Sequence[Sample]) -> list[NearDuplicates]:
    """Pairs of samples of different groups that the audit takes for near-duplicates; tissue, which has no
    upright, in quarter turns too. Rows of a table and fields of slides are not compared."""
    found = []
    pictures = [sample for sample in samples if not sample.numbers and sample.place is None]
    for discipline in sorted({sample.discipline for sample in pictures}):
        own = [sample for sample in pictures if sample.discipline == discipline]
        turns = (0, 1) if discipline == HISTOPATHOLOGY else (0,)
        found += _pairs(own, discipline, turns)
    return found


def _pairs(samples: list[Sample], discipline: str, turns: tuple[int, ...]) -> list[NearDuplicates]:
    views = [(sample, turn) for turn in turns for sample in samples]

    @lru_cache(1)
    def pixels(path: Path) -> Gray:
        return read_gray(path)

    def view(index: int) -> Gray:
        sample, turn = views[index]
        return np.ascontiguousarray(np.rot90(pixels(sample.path), turn))

    signatures = [near_duplicates.sign(view(index), RULES[discipline]) for index in range(len(views))]
    pairs = near_duplicates.find(
        signatures, lambda index: near_duplicates.fine(view(index)), RULES[discipline], lambda *_: None
    )
    found: dict[tuple[Path, Path], NearDuplicates] = {}
    for pair in pairs:
        (first, turn), (second, other) = views[pair.first], views[pair.second]
        if first.group_id != second.group_id and 0 in (turn, other):
            key = (first.path, second.path) if first.id <= second.id else (second.path, first.path)
            found.setdefault(key, NearDuplicates(*key, pair.kind, pair.agreement))
    return list(found.values())


def joined(samples: Sequence[Sample], twins: Sequence[NearDuplicates]) -> tuple[Sample, ...]:
    """The samples with the groups of twins under one name."""
    parent = {sample.group_id: sample.group_id for sample in samples}
    group_of = {sample.path: sample.group_id for sample in samples}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for pair in twins:
        one, other = root(group_of[pair.first]), root(group_of[pair.second])
        parent[max(one, other)] = min(one, other)
    return tuple(replace(sample, group_id=root(sample.group_id)) for sample in samples)


def refuse_neighbourly(
    predict: Callable[[Rows], Rows], rows: Rows, predicted: Rows, checked: int = 3
) -> None:
    """
    Raises
    ------
    LeakError
        A prediction changes when its image is predicted alone: a step looks at the others.
    """
    for index in np.linspace(0, len(rows) - 1, min(checked, len(rows))).round().astype(int):
        alone = predict(rows.take([int(index)])).values[0]
        among = predicted.values[int(index)]
        apart = np.abs(np.asarray(alone, np.float64) - np.asarray(among, np.float64))
        if apart.mean() > _ALONE:
            raise LeakError(
                f"the prediction of {predicted.samples[int(index)].id} depends on the images predicted with it "
                f"(by {apart.mean():.4f}): some step learns from held-out images"
            )
