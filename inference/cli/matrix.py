"""`python -m inference matrix`: trained there, tested here, for every pair that the data and the weights allow."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from inference.champions.registry import discipline_of
from inference.cli.evaluate import rerun
from inference.contract import AnalysisError, ModelManifest
from inference.datasets.catalogue import DATASETS
from inference.datasets.sample import DatasetError, LeakError
from inference.evaluation.account import AccountError, read_account
from inference.evaluation.figures import NotComputable
from inference.evaluation.matrix import Cell, cells, untested
from inference.evaluation.records import Record, RecordsError
from inference.evaluation.results import all_on_record
from inference.evaluation.training_manifest import read_training_manifest
from inference.runtime import custody
from inference.runtime.store import StoreError, model_names, read_manifest, version_folder

#: Why a version gives no cells.
_FAILURES = (
    RecordsError, AccountError, LeakError, DatasetError, NotComputable, AnalysisError, StoreError,
)  # fmt: skip


def run(chosen: Namespace) -> int:
    """The subcommand; 0, or 1 with a sentence on stderr. Beside the model stand the newest versions of the store's
    other models that read the same kind of images: they may have been trained where it was not."""
    try:
        manifest = read_manifest(chosen.model, chosen.store, chosen.version)
        found, sets = _cells_of(manifest, chosen)
    except _FAILURES as error:
        print(f"inference: {error}", file=sys.stderr)
        return 1
    kind = discipline_of(manifest)
    for name in model_names(chosen.store):
        try:
            if name != manifest.name and discipline_of(other := read_manifest(name, chosen.store)) == kind:
                theirs, seen = _cells_of(other, chosen)
                found += theirs
                sets += seen
        except _FAILURES as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    missing = untested(found, list(dict.fromkeys(sets)))
    if chosen.json:
        content = {
            "model": manifest.name, "version": manifest.version, "cells": [cell.as_json() for cell in found],
            "untested": [{"trained_on": a, "tested_on": b} for a, b in missing],
        }  # fmt: skip
        print(json.dumps(content, ensure_ascii=False))
    else:
        print(as_text(manifest, found, missing))
    return 0


def _cells_of(manifest: ModelManifest, chosen: Namespace) -> tuple[list[Cell], list[str]]:
    """A version's cells, and the sets that it was trained on or is measured on."""
    folder = version_folder(manifest, chosen.store)
    custody.verify(folder)
    trained = list(read_training_manifest(folder))
    records = all_on_record(folder)
    others = sets_of(manifest, chosen.data) if chosen.data is not None else []
    if chosen.data is not None and not others:
        raise DatasetError(
            f"{chosen.data} holds no set that {manifest.name} reads, in a folder of the set's name "
            f"({', '.join(DATASETS)})"
        )
    measured = {record.dataset for record in records}
    for name in others:
        if name not in trained and (chosen.rerun or name not in measured):
            own = rerun(manifest, chosen.store, chosen.data, dataset=name).records
            records = [*own, *(record for record in records if record.dataset != name)]
    found = cells(manifest, records, trained, read_account(folder).foreign)
    return found, [*trained, *_sets(records), *others]


def sets_of(manifest: ModelManifest, data: Path) -> list[str]:
    """The sets below `data` whose images the model reads."""
    found = []
    for name, dataset in DATASETS.items():
        if not (data / name).is_dir():
            continue
        try:
            samples = dataset.read(data / name).samples
        except DatasetError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
            continue
        if samples and samples[0].discipline == discipline_of(manifest):
            found.append(name)
    return found


def _sets(records: Sequence[Record]) -> list[str]:
    return [name for name in dict.fromkeys(record.dataset for record in records) if name in DATASETS]


def as_text(manifest: ModelManifest, found: Sequence[Cell], missing: Sequence[tuple[str, str]]) -> str:
    """A block a cell, a line a figure."""
    lines = [f"{manifest.name} {manifest.version}"]
    for cell in found:
        scanner = "" if cell.scanner == "all" else f", {cell.scanner}"
        learned = " and ".join(cell.trained_on) or "nothing of its kind"
        lines.append(
            f"{cell.model}, trained on {learned}, tested on {cell.tested_on}{scanner} ({cell.split}): {cell.answer}, "
            f"{cell.images} images of {cell.patients} groups"
        )
        lines += [
            f"  {one.value:6.3f}  [{one.low:.3f}, {one.high:.3f}]  {one.meaning}" for one in cell.figures
        ]
    lines += [
        f"trained on {a}, tested on {b}: not measured; it needs a training (a recipe on {a})"
        for a, b in missing
    ]
    return "\n".join(lines)
