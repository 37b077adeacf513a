"""Predictions of record: one CSV row an image, committed beside the weights."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

PREDICTIONS = "predictions.csv"
Part = Literal["val", "oof", "external", "left_out_collection", "left_out_scanner"]
#: `oof`: by the network of the fold that the image was kept out of; `val`: by a network that never saw `val`;
#: `external`: by the served network, on a set of which it has seen nothing; `left_out_…`: by a network of the same
#: recipe that has seen nothing of the image's collection, or of its scanner.
SPLITS: tuple[Part, ...] = ("val", "oof", "external", "left_out_collection", "left_out_scanner")
LEFT_OUT: tuple[Part, ...] = ("left_out_collection", "left_out_scanner")
#: By a network that has seen nothing of the image's set or scanner.
AWAY: tuple[Part, ...] = (*LEFT_OUT, "external")
_COLUMNS = (
    "dataset", "split", "fold", "image", "group", "label", "probabilities", "dice", "lesions", "marks",
    "flags", "facts", "network",
)  # fmt: skip


class RecordsError(ValueError):
    """A table of predictions that `write_records` did not write; the sentence names file and line."""


@dataclass(frozen=True)
class Record:
    """What the model said of one image outside its training part, and the truth.

    `marks` holds a finding's score and the number of the lesion that its centre lies in (0: none); `lesions`
    counts the separate lesions of the truth's mask; `dice` is None where there is no mask. `facts` are what
    subgroups are made of (density, view, the lesion's share of the image …), as words. `network` is the SHA-256 of the
    weights that said it, `not kept` where those no longer exist.
    """

    dataset: str
    image: str
    group: str
    label: str
    probabilities: dict[str, float]
    dice: float | None = None
    lesions: int = 0
    marks: tuple[tuple[float, int], ...] = ()
    flags: tuple[str, ...] = ()
    split: Part = "val"
    fold: int | None = None
    facts: dict[str, str] = field(default_factory=dict)
    network: str = ""


def apart(one: Record, other: Record) -> float:
    """How far two records of the same image are from saying the same: the greatest difference of a class's
    probability or of a mark's score. Infinite where one has a class or a mark that the other lacks, where a mark is
    right in one and wrong in the other, or where the truth is another."""
    if (one.label, one.lesions, len(one.marks)) != (other.label, other.lesions, len(other.marks)):
        return math.inf
    if one.probabilities.keys() != other.probabilities.keys():
        return math.inf
    # two marks that are nearly alike may come in either order: within a lesion, the order does not count
    pairs = list(
        zip(*(sorted(each.marks, key=lambda mark: (mark[1], mark[0])) for each in (one, other)), strict=True)
    )
    if any(mine[1] != yours[1] for mine, yours in pairs):
        return math.inf
    differences = [mine[0] - yours[0] for mine, yours in pairs]
    differences += [value - other.probabilities[name] for name, value in one.probabilities.items()]
    return max((abs(difference) for difference in differences), default=0.0)


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Replace `path`; rows in the order given."""
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for record in records:
            writer.writerow(
                (
                    record.dataset,
                    record.split,
                    "" if record.fold is None else record.fold,
                    record.image,
                    record.group,
                    record.label,
                    json.dumps(record.probabilities, separators=(",", ":")),
                    "" if record.dice is None else f"{record.dice:.4f}",
                    record.lesions,
                    ";".join(f"{score:.6f}:{lesion}" for score, lesion in record.marks),
                    " ".join(record.flags),
                    json.dumps(record.facts, separators=(",", ":"), ensure_ascii=False),
                    record.network,
                )
            )
    unfinished.replace(path)


def read_records(path: Path) -> list[Record]:
    """
    Raises
    ------
    RecordsError
        No such file, or a row that `write_records` did not write.
    """
    if not path.is_file():
        raise RecordsError(f"{path.parent.name} has no {path.name}: no predictions are on record")
    with path.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        # tables of before version 2.3.0 name no networks
        if tuple(rows.fieldnames or ()) not in (_COLUMNS, _COLUMNS[:-1]):
            raise RecordsError(f"{path.name} has other columns than {', '.join(_COLUMNS)}")
        return [_record(row, f"{path.name}, line {number}") for number, row in enumerate(rows, 2)]


def _record(row: dict[str, str], where: str) -> Record:
    try:
        marks = [mark.split(":") for mark in row["marks"].split(";") if mark]
        part = next((one for one in SPLITS if one == row["split"]), None)
        if part is None:
            raise ValueError(f"split {row['split']!r} is none of {', '.join(SPLITS)}")
        return Record(
            dataset=row["dataset"],
            split=part,
            fold=int(row["fold"]) if row["fold"] else None,
            image=row["image"],
            group=row["group"],
            label=row["label"],
            probabilities={str(name): float(p) for name, p in json.loads(row["probabilities"]).items()},
            dice=float(row["dice"]) if row["dice"] else None,
            lesions=int(row["lesions"]),
            marks=tuple((float(score), int(lesion)) for score, lesion in marks),
            flags=tuple(row["flags"].split()),
            facts={str(name): str(value) for name, value in json.loads(row["facts"]).items()},
            network=row.get("network", ""),
        )
    except (ValueError, AttributeError, TypeError) as error:
        raise RecordsError(f"{where}: {error}") from error
