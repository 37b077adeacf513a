"""Runs of toy recipes on a generated tree, exported to a store of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from inference.cli.main import main
from inference.evaluation.measuring import analyse_alone
from inference.evaluation.records import read_records
from inference.recipes.recipe_file import load
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import Recipe
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import read_manifest
from tests.inference.recipes.trees import busi_tree, recipe_file

Say = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Made:
    """A run, its tree, and the store that it was exported to."""

    run: Path
    tree: Path
    store: Path
    page: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.store / self.page["id"] / "1.0.0"

    @property
    def image(self) -> Path:
        return self.tree / "Dataset_BUSI_with_GT" / "malignant" / "malignant (1).png"


def made(
    folder: Path,
    content: dict[str, Any],
    *,
    published: bool = False,
    change: Callable[[Path], object] = lambda _: None,
    **order: Any,
) -> Made:
    """`published`: one part is held out, as the set says; `change` is done to every image before."""
    torch.set_num_threads(1)
    tree = busi_tree(folder / "busi", groups=24)
    for path in sorted(tree.glob("Dataset_BUSI_with_GT/*/*).png")):
        change(path)
    if published:
        table = (tree / "split.csv").read_text().splitlines()
        rows = [row.replace(",train", ",val") if n % 5 in (0, 1) else row for n, row in enumerate(table[1:])]
        (tree / "split.csv").write_text("\n".join((table[0], *rows)) + "\n")
    path = recipe_file(folder, content)
    recipe = load(str(path))
    assert isinstance(recipe, Recipe)
    page = run(recipe, RunOptions(tree, folder / "run", path, quiet=True, **order))
    return Made(folder / "run", tree, folder / "store", page)


def apart(one: Made) -> float:
    """By how much the exported version, asked about the held-out files one by one, says otherwise than the run."""
    manifest = read_manifest(one.page["id"], one.store)
    forward, worst = OnnxForward(one.folder / "model.onnx"), 0.0
    records = read_records(one.run / "fold-0" / "predictions.csv")
    assert records
    for record in records:
        path = one.tree / "Dataset_BUSI_with_GT" / record.label / f"{record.image}.png"
        said = analyse_alone(manifest, forward, path, None, one.run).probabilities
        worst = max(worst, *(abs(said[name] - record.probabilities[name]) for name in manifest.classes))
    return worst


def bundle_apart(one: Made, out: Path) -> float:
    """By how much MONAI, running the version's bundle over a folder of images, says otherwise than `predict`."""
    from monai import bundle  # seconds to import

    place, images = one.folder / "bundle", one.image.parent
    workflow = bundle.ConfigWorkflow(
        config_file=str(place / "configs" / "inference.json"), meta_file=str(place / "configs" / "metadata.json"),
        workflow_type="infer", logging_file=False, bundle_root=str(place), dataset_dir=str(images), output=str(out),
    )  # fmt: skip
    workflow.initialize()
    assert workflow.check_properties() == []
    workflow.run()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == len(list(images.glob("*.png")))
    manifest = read_manifest(one.page["id"], one.store)
    forward, worst = OnnxForward(one.folder / "model.onnx"), 0.0
    for line in lines[:6]:
        said = analyse_alone(manifest, forward, Path(line["path"]), None, out.parent).probabilities
        worst = max(worst, *(abs(said[name] - line[name]) for name in manifest.classes))
    return worst


def exported(one: Made, *more: str) -> int:
    words = ["export", str(one.run), "--store", str(one.store), "--data", str(one.tree), "--threads", "1"]
    return main([*words, *more])
