"""Predictions on sets that the model has seen nothing of: a folder a set, `external/NAME/predictions.csv`.

They stand apart from the version's own `predictions.csv`, which training, calibration and comparison read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from inference.evaluation.records import PREDICTIONS, Record, RecordsError, read_records, write_records
from inference.evaluation.training_manifest import read_training_manifest

FOLDER = "external"


def files(folder: Path) -> list[Path]:
    """The tables of a version's folder, by the names of their sets: what a seal of the version has to cover."""
    return sorted((folder / FOLDER).glob(f"*/{PREDICTIONS}"))


def read(folder: Path) -> list[Record]:
    """All external predictions of a version's folder; none where nothing was measured.

    Raises
    ------
    RecordsError
        A table is damaged, holds another set than its folder says, or anything but external predictions.
    LeakError
        The model was trained on one of the sets, or has no training manifest.
    """
    tables = files(folder)
    seen = read_training_manifest(folder) if tables else {}
    found = []
    for path in tables:
        name = path.parent.name
        if name in seen:
            raise RecordsError(f"{FOLDER}/{name}: the model was trained on {name}, nothing of it is external")
        records = read_records(path)
        if any((record.dataset, record.split) != (name, "external") for record in records):
            raise RecordsError(
                f"{FOLDER}/{name}/{PREDICTIONS} holds other predictions than external ones of {name}"
            )
        found += records
    return found


def write(folder: Path, records: Sequence[Record]) -> list[Path]:
    """Replace the tables of the sets that `records` are of."""
    written = []
    for name in dict.fromkeys(record.dataset for record in records):
        path = folder / FOLDER / name / PREDICTIONS
        path.parent.mkdir(parents=True, exist_ok=True)
        write_records(path, [record for record in records if record.dataset == name])
        written.append(path)
    return written


def is_external(dataset: str, folder: Path) -> bool:
    """Whether the version in `folder` was made without anything of that set.

    Raises
    ------
    LeakError
        The model has no training manifest.
    """
    return dataset not in read_training_manifest(folder)


def parted(records: Sequence[Record], foreign: dict[str, tuple[str, ...]]) -> list[Record]:
    """A model of several networks may have learned one answer elsewhere than the others: `foreign` names, for a set,
    the classes that no network trained on that set answers. Their part of the set's records becomes external, and
    stands no longer beside the answers that were learned there."""
    away = [
        replace(
            record,
            split="external",
            fold=None,
            probabilities=_only(record.probabilities, foreign[record.dataset], inside=True),
            dice=None, lesions=0, marks=(),
        )
        for record in records
        if record.dataset in foreign
    ]  # fmt: skip
    at_home = [
        replace(record, probabilities=_only(record.probabilities, foreign[record.dataset], inside=False))
        if record.dataset in foreign
        else record
        for record in records
    ]
    return [*away, *at_home]


def _only(probabilities: dict[str, float], names: tuple[str, ...], *, inside: bool) -> dict[str, float]:
    return {name: value for name, value in probabilities.items() if (name in names) is inside}
