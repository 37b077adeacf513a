"""One fold trained again: does the committed figure lie within the interval of the new one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.contract import ModelManifest
from inference.evaluation.figures import Figure, NotComputable, figure
from inference.evaluation.protocol import parts, protocol_of
from inference.evaluation.records import PREDICTIONS, Record, RecordsError, read_records
from inference.evaluation.subgroups import headline_lines
from inference.runtime.store import read_manifest, version_folder


@dataclass(frozen=True)
class Repeated:
    """A leading figure of one fold: as committed, and as measured again with its interval."""

    fold: int
    committed: float
    again: Figure

    @property
    def within(self) -> bool:
        return self.again.low <= self.committed <= self.again.high

    def as_json(self) -> dict[str, object]:
        return {
            "fold": self.fold, "committed": self.committed, "within": self.within,
            "again": self.again.as_json(),
        }  # fmt: skip


def committed_fold(folder: Path, fold: int) -> list[Record]:
    """The fold's out-of-fold predictions of record.

    Raises
    ------
    RecordsError
        There are none of that fold.
    """
    records = [r for r in read_records(folder / PREDICTIONS) if r.split == "oof"]
    own = [record for record in records if record.fold == fold]
    if not own:
        there = sorted({record.fold for record in records if record.fold is not None})
        listed = ", ".join(map(str, there)) or "none"
        raise RecordsError(
            f"{folder.parent.name} {folder.name} has no out-of-fold predictions of fold {fold}; "
            f"folds on record: {listed}"
        )
    return own


def compare_fold(
    manifest: ModelManifest, committed: Sequence[Record], again: Sequence[Record], fold: int
) -> list[Repeated]:
    """The leading figures of every data set in the fold.

    Raises
    ------
    RecordsError
        The new predictions are of other images: the folds were drawn differently.
    """
    ours = {(record.dataset, record.image) for record in committed}
    theirs = {(record.dataset, record.image) for record in again}
    if ours != theirs:
        raise RecordsError(
            f"fold {fold} holds other images than the one on record: {len(ours - theirs)} are missing, "
            f"{len(theirs - ours)} are new"
        )
    found = []
    for dataset, _, own in parts(committed):
        new = [record for record in again if record.dataset == dataset]
        for line in headline_lines(protocol_of(dataset, manifest), manifest):
            try:
                found.append(Repeated(fold, round(line.value(own), 4), figure(line, new)))
            except NotComputable:
                continue
    if not found:
        raise NotComputable(f"fold {fold} gives no figure")
    return found


def retrain(
    model: str, store: Path, data: Path, run: Path, fold: int, seed: int, version: str | None = None
) -> list[Repeated]:
    """Train fold `fold` of `model` again and compare.

    Raises
    ------
    RecordsError
        See `committed_fold` and `compare_fold`.
    """
    manifest = read_manifest(model, store, version)
    committed = committed_fold(version_folder(manifest, store), fold)
    from inference.champions.plan import Plan
    from inference.champions.registry import recipe_of, retrain_fold

    plan = Plan(data=data, run=run, store=store, version=manifest.version, recipe=recipe_of(model), seed=seed)
    return compare_fold(manifest, committed, retrain_fold(model, fold, plan), fold)
