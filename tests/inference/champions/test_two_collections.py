"""The ultrasound champion from two generated collections to a version that answers for its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from inference.champions import registry
from inference.champions.plan import Plan
from inference.champions.recipe import parse
from inference.cli.main import main
from inference.datasets.generated import write
from inference.evaluation import left_out
from inference.evaluation.records import LEFT_OUT, PREDICTIONS, read_records
from inference.evaluation.training_manifest import read_training_manifest
from inference.recipes.recipe_file import read
from inference.runtime import custody
from inference.runtime.fusion import FUSED
from inference.runtime.store import version_folder


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_two_collections_become_a_version_that_answers_for_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    for name in ("busi", "busbra"):
        write(name, tmp_path / "data" / name)
    path = registry.recipe_file("ultrasound")
    recipe = parse(read(path, ("quick",)), path)
    plan = Plan(tmp_path / "data", tmp_path / "run", tmp_path / "store", "3.0.0", recipe)
    manifest = registry.build("ultrasound", plan)
    folder = version_folder(manifest, plan.store)
    assert manifest.calibration[FUSED] == 2 and {f"bias_{name}" for name in manifest.classes} <= set(
        manifest.calibration
    )
    assert set(read_training_manifest(folder)) == {"busi", "busbra"}
    assert {record.dataset for record in read_records(folder / PREDICTIONS)} == {"busi", "busbra"}
    away = left_out.read(folder)
    assert {record.split for record in away} == set(LEFT_OUT)
    sealed = custody.verify(folder)
    networks = [digest for part, digest in sealed.networks.items() if part.startswith("left_out")]
    assert len(networks) == len(set(networks)) == 4

    def said(*words: str) -> dict[str, object]:
        capsys.readouterr()
        assert main([*words, "--store", str(plan.store), "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out))

    stated = json.loads((folder / "metrics.json").read_text())
    assert said("evaluate", "ultrasound")["figures"] == stated["figures"]
    assert not said("matrix", "ultrasound")["untested"]
    # calibrated otherwise nothing is trained again: a checkpoint depends on its network's recipe
    before = {file: file.stat().st_mtime_ns for file in plan.run.rglob("*.pt")}
    looser = recipe.model_copy(update={"calibrate": recipe.calibrate.model_copy(update={"coverage": 0.8})})
    again = registry.build("ultrasound", Plan(plan.data, plan.run, plan.store, "3.0.1", looser))
    assert {file: file.stat().st_mtime_ns for file in plan.run.rglob("*.pt")} == before
    assert again.weights == manifest.weights
