"""`python -m inference seal MODEL`: a custody record for a version that has none, after what can be checked was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from imaging.digest import sha256_of
from inference.champions import registry
from inference.contract import ModelManifest
from inference.datasets.sample import evenly
from inference.evaluation import external
from inference.evaluation.account import Account, read_account
from inference.evaluation.folder import METRICS
from inference.evaluation.measuring import held_out, predict
from inference.evaluation.records import PREDICTIONS, Record, apart, read_records, write_records
from inference.evaluation.results import results_on_record
from inference.runtime import custody
from inference.runtime.answer import read_answer
from inference.runtime.custody import NOT_KEPT, NOT_RECORDED, RECIPE, CustodyError
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import read_manifest, verified_weights, version_folder

#: Two processors add in another order.
_SAME = 2e-3


def seal(
    model: str, store: Path, version: str | None = None, data: Path | None = None, images: int | None = None
) -> str:
    """Check a version of `store` and write its `custody.json`; what was sealed, in words.

    Its weights are those of its manifest and answer as was recorded when they were trained; its figures are those that
    its predictions give. With `data`, `images` of the samples of `val` (all where None) are predicted anew. A version
    that is sealed already must be what was sealed.

    Raises
    ------
    CustodyError, StoreError, RecordsError, AccountError
        Something does not hold, and nothing was written.
    """
    manifest = read_manifest(model, store, version)
    folder, which = version_folder(manifest, store), f"{manifest.name} {manifest.version}"
    if custody.is_sealed(folder):
        custody.verify(folder)
        return f"{which} is sealed already, and is what was sealed"
    weights = verified_weights(manifest, store)
    forward = OnnxForward(weights)
    read_answer(manifest, store).check(forward, f"{weights.name} of {which}")
    account, records = read_account(folder), read_records(folder / PREDICTIONS)
    if (folder / RECIPE).is_file() and sha256_of(folder / RECIPE) != account.recipe_sha256:
        raise CustodyError(f"{which}: {RECIPE} is not the recipe that its account names")
    named = [replace(record, network=_network_of(record, manifest, account)) for record in records]
    _check_figures(folder, which)
    repeated = 0
    if data is not None:
        repeated = _check_predictions(manifest, folder, forward, named, data, images)
    write_records(folder / PREDICTIONS, named)
    outside = [replace(row, network=_network_of(row, manifest, account)) for row in external.read(folder)]
    external.write(folder, outside)
    sealed = custody.write(folder, sealed="afterwards", code=NOT_RECORDED)
    missing = sorted(part for part, digest in sealed.networks.items() if digest == NOT_KEPT)
    return (
        f"{which} is sealed: {len(sealed.files)} files, {len(named) + len(outside)} predictions, {repeated} of them "
        f"made again with the served weights; networks that were not kept: {', '.join(missing) or 'none'}; "
        f"recipe: {'kept' if sealed.recipe_sha256 != NOT_KEPT else NOT_KEPT}"
    )


def _network_of(record: Record, manifest: ModelManifest, account: Account) -> str:
    """The served weights, where the row is theirs by how the version was made."""
    if record.network:
        return record.network
    served = record.split == "external" or (record.split == "val" and not account.refitted)
    return manifest.weights.sha256 if served else NOT_KEPT


def _check_figures(folder: Path, which: str) -> None:
    stated = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    found = json.loads(json.dumps(results_on_record(folder).as_json()))
    for key, value in found.items():
        if stated.get(key) != value:
            raise CustodyError(f"{which}: {METRICS} is not what {PREDICTIONS} gives: {key}")


def _check_predictions(
    manifest: ModelManifest, folder: Path, forward: OnnxForward, records: Sequence[Record], data: Path,
    images: int | None,
) -> int:  # fmt: skip
    """Predict `val` again; how many predictions of record were found in it."""
    on_record = {(each.dataset, each.image): each for each in records if each.network == forward.sha256}
    samples = [
        sample
        for sample in registry.as_asked(manifest, folder, held_out(registry.sets_of(manifest, folder), data))
        if (sample.dataset, sample.id) in on_record
    ]
    again = predict(manifest, forward, evenly(samples, images))
    for record in again:
        before = on_record[record.dataset, record.image]
        difference = apart(record, before)
        if difference > _SAME:
            raise CustodyError(
                f"{PREDICTIONS} of {manifest.name} {manifest.version}: of {record.dataset} {record.image} the served "
                f"weights say something else than is on record (by {difference:.3g})"
            )
    return len(again)
