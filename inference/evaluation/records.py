"""Predictions of record: one CSV row an image, committed beside the weights that made them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PREDICTIONS = "predictions.csv"
_COLUMNS = ("dataset", "image", "group", "label", "probabilities", "dice", "lesions", "marks", "flags")


@dataclass(frozen=True)
class Record:
    """What the model said of one image outside its training part, and the truth.

    `marks` holds a finding's score and the number of the lesion that its centre lies in (0: none);
    `lesions` counts the separate lesions of the truth's mask; `dice` is None where there is no mask.
    """

    dataset: str
    image: str
    group: str
    label: str
    probabilities: dict[str, float]
    dice: float | None = None
    lesions: int = 0
    marks: tuple[tuple[float, int], ...] = ()
    flags: tuple[str, ...] = field(default=())


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Replace `path`."""
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for record in records:
            writer.writerow(
                (
                    record.dataset,
                    record.image,
                    record.group,
                    record.label,
                    json.dumps(record.probabilities, separators=(",", ":")),
                    "" if record.dice is None else f"{record.dice:.4f}",
                    record.lesions,
                    ";".join(f"{score:.6f}:{lesion}" for score, lesion in record.marks),
                    " ".join(record.flags),
                )
            )


def read_records(path: Path) -> list[Record]:
    """
    Raises:
        FileNotFoundError: the model has no predictions of record.
        ValueError: a row that `write_records` did not write.
    """
    with path.open(newline="", encoding="utf-8") as lines:
        return [_record(row) for row in csv.DictReader(lines)]


def _record(row: dict[str, str]) -> Record:
    marks = [mark.split(":") for mark in row["marks"].split(";") if mark]
    return Record(
        dataset=row["dataset"],
        image=row["image"],
        group=row["group"],
        label=row["label"],
        probabilities={str(name): float(value) for name, value in json.loads(row["probabilities"]).items()},
        dice=float(row["dice"]) if row["dice"] else None,
        lesions=int(row["lesions"]),
        marks=tuple((float(score), int(lesion)) for score, lesion in marks),
        flags=tuple(row["flags"].split()),
    )
