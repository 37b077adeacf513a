"""What was measured of a model, from its predictions of record: figures, subgroups, spreads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.contract import Flag, ModelManifest
from inference.evaluation import external, left_out, subgroups
from inference.evaluation.account import Account, read_account
from inference.evaluation.figures import Figure
from inference.evaluation.protocol import measure
from inference.evaluation.records import (
    AWAY,
    LEFT_OUT,
    PREDICTIONS,
    SPLITS,
    Record,
    RecordsError,
    read_records,
)
from inference.evaluation.subgroups import Row, Spread
from inference.runtime.store import manifest_in

#: Fields of a whole slide are no images that the gate could judge one by one.
_NOT_IMAGES = ("idc_mosaic",)


@dataclass(frozen=True)
class Results:
    """What was measured. `flagged`: share of the measured images that the gate held out of distribution, of those at
    home where there are any; `measured_on`: which weights gave the predictions."""

    manifest: ModelManifest
    records: tuple[Record, ...]
    figures: tuple[Figure, ...]
    rows: tuple[Row, ...]
    spreads: tuple[Spread, ...]
    flagged: float
    measured_on: str

    def as_json(self) -> dict[str, object]:
        """The content of `metrics.json`, and what `evaluate --json` prints."""
        return {
            "model": self.manifest.name,
            "version": self.manifest.version,
            "weights_sha256": self.manifest.weights.sha256,
            "measured_on": self.measured_on,
            "held_out_of_distribution": round(self.flagged, 6),
            "figures": [entry.as_json() for entry in self.figures],
            "subgroups": [row.as_json() for row in self.rows],
            "spreads": [spread.as_json() for spread in self.spreads],
        }


def chosen_records(
    records: Sequence[Record], dataset: str | None = None, split: str | None = None
) -> list[Record]:
    """Those of a data set and a split; all where None.

    Raises
    ------
    RecordsError
        None; the sentence says what is on record.
    """
    chosen = [r for r in records if dataset in (None, r.dataset) and split in (None, r.split)]
    if not chosen:
        there = sorted({f"{record.dataset} {record.split}" for record in records})
        asked = " ".join(part for part in (dataset, split) if part)
        listed = ", ".join(there)
        raise RecordsError(f"no predictions of {asked or 'anything'} are on record; there are: {listed}")
    return chosen


def results_of(manifest: ModelManifest, records: Sequence[Record], measured_on: str) -> Results:
    """Measure `records`.

    Raises
    ------
    NotComputable
        Not one figure can be computed.
    """
    images = [record for record in records if record.dataset not in _NOT_IMAGES]
    at_home = [record for record in images if record.split not in AWAY]
    return Results(
        manifest=manifest,
        records=tuple(records),
        figures=tuple(measure(manifest, records)),
        rows=tuple(subgroups.rows(manifest, records)),
        spreads=tuple(subgroups.spreads(manifest, records)),
        flagged=share_flagged(at_home or images),
        measured_on=measured_on,
    )


def share_flagged(records: Sequence[Record]) -> float:
    """Share of the images that the gate held out of distribution."""
    held_back = sum(Flag.OUT_OF_DISTRIBUTION.value in record.flags for record in records)
    return held_back / max(len(records), 1)


def all_on_record(folder: Path) -> list[Record]:
    """The predictions of record of a version: the external ones first, then those of what a training left out.

    Raises
    ------
    RecordsError, AccountError, LeakError
        A table or the account of the run is missing or damaged.
    """
    own = external.parted(read_records(folder / PREDICTIONS), read_account(folder).foreign)
    return [*external.read(folder), *left_out.read(folder), *own]


def results_on_record(folder: Path, dataset: str | None = None, split: str | None = None) -> Results:
    """From `manifest.json`, `predictions.csv`, `external/` and `protocol.json` of a model's folder.

    Raises
    ------
    StoreError, RecordsError, AccountError
        One of them is missing or damaged, or nothing was chosen.
    """
    manifest = manifest_in(folder)
    records = chosen_records(all_on_record(folder), dataset, split)
    return results_of(manifest, records, measured_on(read_account(folder), records))


def measured_on(account: Account, records: Sequence[Record]) -> str:
    """Which weights gave the predictions of record."""
    splits = {record.split for record in records}
    if splits <= {*LEFT_OUT}:
        return "networks of the same recipe that left something out"
    by_others = {"oof", "val"} if account.refitted else {"oof"}
    by_others |= {*LEFT_OUT}
    served = [split for split in SPLITS if split in splits - by_others]
    others = sorted(splits - set(served))
    before = "networks from before the refit" if account.refitted else "networks of the folds"
    if not others or not served:
        return before if others else "the served weights"
    return f"{before} ({', '.join(others)}), the served weights ({', '.join(served)})"
