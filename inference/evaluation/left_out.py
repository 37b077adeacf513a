"""Predictions of networks of a version's recipe that have seen nothing of a collection, or of a scanner: one table,
`left_out/predictions.csv`.

Each is of an image by a network that saw nothing of its like, though the served weights did: what may be expected
elsewhere, measured at home. They stand apart from the version's own `predictions.csv`, which comparisons and shift
tests read: an image stands in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inference.evaluation.records import (
    LEFT_OUT,
    PREDICTIONS,
    Record,
    RecordsError,
    read_records,
    write_records,
)

FOLDER = "left_out"


def write(folder: Path, records: Sequence[Record]) -> None:
    """Write the table in a version's folder; nothing without records."""
    if records:
        (folder / FOLDER).mkdir(exist_ok=True)
        write_records(folder / FOLDER / PREDICTIONS, records)


def read(folder: Path) -> list[Record]:
    """Those of a version's folder; none where the recipe leaves nothing out.

    Raises
    ------
    RecordsError
        The table is damaged, or holds other predictions.
    """
    path = folder / FOLDER / PREDICTIONS
    if not path.is_file():
        return []
    records = read_records(path)
    if any(record.split not in LEFT_OUT for record in records):
        raise RecordsError(f"{FOLDER}/{PREDICTIONS} holds other predictions than those of what was left out")
    return records
