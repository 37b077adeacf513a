"""The networks behind an exported version's figures, as its run has kept them, each with what it never saw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from imaging.digest import sha256_of
from inference.champions.whole_image.stated import stated
from inference.contract import ModelManifest
from inference.datasets.sample import DatasetError, Sample
from inference.evaluation.records import PREDICTIONS, read_records
from inference.evaluation.training_manifest import read_training_manifest
from inference.recipes.pipeline import Pipeline
from inference.recipes.protocol import choose
from inference.recipes.runfolder import FOLD, RunFolder
from inference.recipes.schema import Recipe
from inference.recipes.validation import parse
from inference.runtime.custody import RECIPE
from inference.runtime.onnx_session import WEIGHTS
from inference.runtime.whole_image.pipeline import OUTLINED, only_outlines
from inference.runtime.whole_image.steps import has_steps


@dataclass(frozen=True, eq=False)
class OfRecord:
    """A network that predictions of record were made by. `manifest` is the version's, with the steps before this very
    network; `held_out` are labelled as the version's classes are."""

    manifest: ModelManifest
    weights: Path
    held_out: tuple[Sample, ...]


def networks_of_record(manifest: ModelManifest, folder: Path, run: Path, data: Path) -> Iterator[OfRecord]:
    """The networks that the records in the version's `folder` name, from `run`, the folder of the run that it was
    exported from.

    Raises
    ------
    LookupError
        `run` has not all of them.
    DatasetError
        The images of record are not in `data`, or are others there.
    """
    kept = {sha256_of(path): path for path in sorted(run.glob(f"fold-*/{WEIGHTS}"))}
    records = read_records(folder / PREDICTIONS)
    for digest in dict.fromkeys(record.network for record in records):
        if digest not in kept:
            raise LookupError(
                f"{run} does not hold all networks behind {manifest.name} {manifest.version}: --folds takes the run "
                "that it was exported from"
            )
    recipe = parse(json.loads((folder / RECIPE).read_text(encoding="utf-8")), RECIPE)
    assert isinstance(recipe, Recipe)
    seed = int(RunFolder(run, writes=False).read("run.json")["seed"])
    found = {sample.id: sample for sample in choose(recipe, data, seed).samples}
    known = {digest for entry in read_training_manifest(folder).values() for digest in entry["sha256"]}
    for digest, weights in kept.items():
        ids = [record.image for record in records if record.network == digest]
        samples = [found[image] for image in ids if image in found]
        if len(samples) < len(ids) or any(sha256_of(sample.path) not in known for sample in samples):
            raise DatasetError(
                f"{data} does not hold the images that {manifest.name} {manifest.version} was measured on"
            )
        if only_outlines(manifest):
            samples = [replace(sample, label=OUTLINED[1]) for sample in samples]
        own = manifest
        if has_steps(manifest.preprocessing):
            steps = stated(Pipeline.load(weights.with_name(FOLD)))
            own = manifest.model_copy(update={"preprocessing": steps})
        if samples:
            yield OfRecord(own, weights, tuple(samples))
