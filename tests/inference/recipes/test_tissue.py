"""A second set whose labels say what a patch shows ([30]): learned from, kept, refused where nobody learns from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.datasets import crc8
from inference.datasets.generated import tree_below, write
from inference.datasets.sample import HISTOPATHOLOGY, DatasetError, Sample
from inference.recipes.pictures import Picture
from inference.recipes.pipeline import Pipeline, Place
from inference.recipes.protocol import tissue_of
from inference.recipes.provenance import Rows
from inference.recipes.runfolder import FOLD
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import RecipeError
from inference.recipes.validation import changed, parse
from tests.inference.recipes.trees import CLASSIC

TISSUE: dict[str, Any] = {
    **CLASSIC,
    "task": {"classes": ["benign", "malignant"], "positive": "malignant", "read": "binary"},
    "data": {"dataset": "breakhis", "size": [32, 64], "folds": 2},
    "tissue": {"dataset": "crc8", "irrelevant": ["adipose", "empty"], "size": [32, 32]},
    "streams": [
        {
            "patches": {"size": 16, "stride": 16, "limit": 8},
            "features": ["intensity"],
            "aggregate": {"relevance_filter": {"folds": 2}},
        }
    ],
}


def rows(labels: list[str], images: list[np.ndarray], dataset: str) -> Rows:
    samples = tuple(
        Sample(f"{dataset}-{n}", dataset, HISTOPATHOLOGY, Path(f"{n}.png"), f"g{n}", label, None)
        for n, label in enumerate(labels)
    )
    return Rows(samples, tuple(Picture(image.astype(np.uint8)) for image in images))


def test_patches_that_look_like_irrelevant_tissue_are_dropped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    fat, cells = (lambda: rng.normal(220, 8, (32, 32))), (lambda level: rng.normal(level, 12, (32, 32)))
    labels = ["benign", "malignant"] * 6
    images = [np.concatenate([fat(), cells(60 if n % 2 else 90)], axis=1) for n in range(12)]
    tissue = rows(["adipose", "stroma"] * 8, [fat() if n % 2 == 0 else cells(75) for n in range(16)], "crc8")
    pipeline = Pipeline(parse(TISSUE, "toy"), 0, tissue=tissue)
    train = rows(labels, images, "breakhis")
    pipeline.fit(train, Place(tmp_path))
    aggregate = pipeline.learned["streams.0.aggregate"]
    stream = pipeline.recipe.streams[0]
    cut = pipeline.cut("streams.0", stream, train)
    bright = [[patch.image.mean() > 150 for patch in bag] for bag in cut.values]
    described = pipeline._described("streams.0", stream, cut).values
    relevant = np.array([aggregate.thing.relevance(bag) for bag in described])
    fatty = np.array(bright)
    assert relevant[fatty].mean() < 0.5 and relevant[~fatty].mean() > relevant[fatty].mean() + 0.3
    assert {"crc8 group g0", "breakhis group g0"} <= aggregate.stamp.seen
    pipeline.save(tmp_path / "fold")
    again = Pipeline.load(tmp_path / "fold")
    np.testing.assert_array_equal(again.predict(train).values, pipeline.predict(train).values)


def test_a_run_says_what_its_second_set_was(tmp_path: Path) -> None:
    for name in ("breakhis", "crc8"):
        tree_below(tmp_path, name)
    source = tmp_path / "unused.yaml"
    source.write_text("")
    page = run(parse(TISSUE, "toy"), RunOptions(tmp_path, tmp_path / "run", source, quiet=True))
    assert "32 images of crc8 say which patches are relevant" in page["declared"]
    assert '"tissue": [' in (tmp_path / "run" / "data.json").read_text()
    assert (
        Pipeline.load(tmp_path / "run" / "fold-0" / FOLD).learned["streams.0.aggregate"].thing._from_reference
    )


def test_what_a_second_set_lacks_is_a_sentence(tmp_path: Path) -> None:
    recipe = parse(TISSUE, "toy")
    with pytest.raises(DatasetError, match="has no folder crc8"):
        tissue_of(recipe, tmp_path, 0)
    tree_below(tmp_path, "crc8")
    with pytest.raises(DatasetError, match="no image of fat; it has adipose"):
        tissue_of(changed(recipe, {"tissue.irrelevant": ["fat"]}), tmp_path, 0)
    with pytest.raises(RecipeError, match=r"tissue\.dataset: 'nobody' is none of"):
        tissue_of(changed(recipe, {"tissue.dataset": "nobody"}), tmp_path, 0)
    assert len(tissue_of(changed(recipe, {"tissue.limit": 1}), tmp_path, 0)) == 8
    with pytest.raises(RecipeError, match="no aggregate learns from it; relevance_filter does"):
        changed(recipe, {"streams.0.aggregate": {"name": "p_norm", "parameters": {}}})


def test_the_reference_tissue_is_read_by_folder_and_field_of_view(tmp_path: Path) -> None:
    manifest = crc8.read(write("crc8", tmp_path / "crc8"))
    assert manifest.counts == dict.fromkeys(crc8.LABELS, 4)
    assert len({sample.group_id for sample in manifest.samples}) == 4
    told = " ".join(manifest.warnings)
    assert "02_TUMOR: number 02 is STROMA" in told and "overview.tif: not a name of this set" in told
    with pytest.raises(DatasetError, match="no folder of tissue"):
        crc8.read(tmp_path / "nowhere")
