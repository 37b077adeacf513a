"""What is measured on a hospital's own cases: the shipped operating points beside the card's, and subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inference.contract import OPERATING_POINTS, ModelManifest
from inference.evaluation.asked import BinaryQuestion
from inference.evaluation.figures import Figure, Measure, NotComputable, figure
from inference.evaluation.protocol import protocol_of
from inference.evaluation.records import AWAY, Record

#: A figure may lie so far below the card's, interval and all, before an operating point does not hold.
TOLERANCE = 0.05
#: A subgroup is judged from so many images of each class on; fewer are shown.
ENOUGH_OF_A_SUBGROUP = 10
#: A column of more different values makes no subgroups, unless its values are numbers, which are cut in thirds.
_MOST_VALUES = 8
SET = "local"


@dataclass(frozen=True)
class Point:
    """A shipped operating point on the local cases, beside what the card says at home."""

    name: str
    threshold: float
    sensitivity: Figure
    specificity: Figure
    home_sensitivity: Figure | None
    home_specificity: Figure | None
    holds: bool


@dataclass(frozen=True)
class Subgroup:
    """Cases of one value of a column."""

    column: str
    value: str
    images: int
    positives: int
    auc: Figure | None
    points: tuple[tuple[str, Figure | None, Figure | None], ...]
    below: bool


def figure_or_none(line: Measure, records: Sequence[Record]) -> Figure | None:
    """None where the records cannot give it."""
    try:
        return figure(line, records)
    except NotComputable:
        return None


def figures_at_home(manifest: ModelManifest, at_home: Sequence[Figure]) -> dict[str, Figure]:
    """The internal figures of the set whose question the operating points belong to, under the local names."""
    found: dict[str, Figure] = {}
    for one in at_home:
        sheet = protocol_of(one.dataset, manifest)
        pointed = next((ask for ask in sheet.asked if ask.name == sheet.pointed), None)
        if one.split in AWAY or pointed is None or manifest.positive_class not in pointed.chance:
            continue
        if one.name == f"auc_{pointed.name}":
            found[f"auc_{manifest.positive_class}"] = one
        elif (
            one.name.startswith(("sensitivity_", "specificity_"))
            and one.name.partition("_")[2] in OPERATING_POINTS
        ):
            found[one.name] = one
    return found


def point_of(
    name: str, manifest: ModelManifest, figures: Mapping[str, Figure], home: Mapping[str, Figure]
) -> Point | None:
    """None where a class is missing."""
    keys = (f"sensitivity_{name}", f"specificity_{name}")
    here = [figures.get(key) for key in keys]
    if here[0] is None or here[1] is None:
        return None
    there = [home.get(key) for key in keys]
    holds = all(
        told is None or one is None or one.high >= told.low - TOLERANCE
        for one, told in zip(here, there, strict=True)
    )
    return Point(name, manifest.thresholds[name], here[0], here[1], there[0], there[1], holds)


def subgroups_of(
    records: Sequence[Record], lines: Mapping[str, Measure], ask: BinaryQuestion, promised: float
) -> list[Subgroup]:
    """By every column that tells images apart. `promised`: what the whole is measured by."""
    columns = dict.fromkeys(
        name for record in records for name in record.facts if name not in ("positive", "gate")
    )
    found = []
    for column in columns:
        for value, members in _parts(column, records):
            positives = sum(ask.truth(record) for record in members)
            auc = figure_or_none(lines[f"auc_{ask.name}"], members)
            judged = min(positives, len(members) - positives) >= ENOUGH_OF_A_SUBGROUP
            points = tuple(
                (
                    name,
                    figure_or_none(lines[f"sensitivity_{name}"], members),
                    figure_or_none(lines[f"specificity_{name}"], members),
                )
                for name in OPERATING_POINTS
            )
            below = judged and auc is not None and auc.high < promised
            found.append(Subgroup(column, value, len(members), positives, auc, points, below))
    return found


def _parts(column: str, records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    known = [(record.facts[column], record) for record in records if record.facts.get(column)]
    values = sorted({value for value, _ in known})
    if len(values) < 2:
        return []
    if len(values) <= _MOST_VALUES:
        return [(value, [record for own, record in known if own == value]) for value in values]
    try:
        numbers = np.array([float(value) for value, _ in known])
    except ValueError:
        return []
    cuts = np.quantile(numbers, (1 / 3, 2 / 3))
    third = (numbers[:, None] > cuts).sum(axis=1)
    return [
        (f"{numbers[third == part].min():g} to {numbers[third == part].max():g}",
         [record for (_, record), own in zip(known, third, strict=True) if own == part])
        for part in sorted(set(third.tolist()))
    ]  # fmt: skip
