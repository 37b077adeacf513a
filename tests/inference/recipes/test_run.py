"""Recipes from data to summary: on generated trees, repeated, killed and resumed, on two processes."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from imaging.digest import sha256_of
from inference.cli.main import main
from inference.datasets.generated import tree_below, write
from inference.datasets.sample import DatasetError, LeakError
from inference.evaluation.records import write_records
from inference.recipes.pictures import read
from inference.recipes.pipeline import Pipeline
from inference.recipes.protocol import choose
from inference.recipes.provenance import Streamed
from inference.recipes.recipe_file import known, load
from inference.recipes.reporting import records
from inference.recipes.runfolder import FOLD, RunError
from inference.recipes.runner import RunOptions, predict_files, run
from inference.recipes.schema import Recipe
from inference.recipes.validation import changed
from tests.inference import plain_network  # noqa: F401 - registers `plain`
from tests.inference.recipes.trees import CLASSIC, NEURAL, busi_tree, predictions, recipe_file

ROOT = Path(__file__).parents[3]
#: A network, bags and outlines; of all others whole runs are those of `bin/test --long`, and `test_tiny.py` has a fold.
WHOLE = ("jiang2019_bhcnet", "sudarshan2019_mil", "baccouche2021_connected_unets")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As in the processes that the tests start: sums over more threads end in other bits."""
    torch.set_num_threads(1)


def made(
    folder: Path, content: dict[str, Any], tree: Path, name: str = "run", **order: Any
) -> dict[str, Any]:
    path = recipe_file(folder, content)
    recipe = load(str(path))
    assert isinstance(recipe, Recipe)
    return run(recipe, RunOptions(tree, folder / name, path, quiet=True, **order))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return busi_tree(tmp_path_factory.mktemp("busi"))


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=[] if each in WHOLE else [pytest.mark.long]) for each in known()],
)
def test_each_recipe_of_the_review_runs_on_its_generated_tree(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = load(name, ("quick",))
    assert isinstance(recipe, Recipe)
    data = tree_below(tmp_path / "tree", recipe.data.dataset)
    arguments = [
        "train",
        name,
        "--quick",
        "--data",
        str(data),
        "--run",
        str(tmp_path / "run"),
        "--threads",
        "1",
    ]
    assert main([*arguments, "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert page["hash"] == recipe.hash and page["reference"] == recipe.reference
    assert any("quick" in text for text in page["substitutions"])
    assert page["figures"] and all(np.isfinite(figure["value"]) for figure in page["figures"])
    assert {"review_number", "honest_number", "declared"} <= set(page)
    assert said_again(recipe, data, tmp_path / "run") == predictions(tmp_path / "run")["fold-0"]


def test_a_made_up_tree_in_the_run_folder_is_made_once_and_served_models_take_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder = tmp_path / "run"
    arguments = ["budak2019_fcn_bilstm", "--quick", "--generated", "--run", str(run_folder), "--threads", "1"]
    assert main(["train", *arguments, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [path.name for path in (run_folder / "generated").iterdir()] == ["breakhis"]
    assert main(["train", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert main(["train", "ultrasound", "--generated"]) == 1
    assert "none learns from made-up images" in capsys.readouterr().err
    with pytest.raises(DatasetError, match="no tree is made of nobody"):
        tree_below(tmp_path, "nobody")
    with pytest.raises(SystemExit):
        main(["train", *arguments, "--data", str(tmp_path)])


def said_again(recipe: Recipe, data: Path, folder: Path) -> str:
    """What the first fold's file says of the images that it held out, read one by one, as the run wrote its own."""
    held = json.loads((folder / "splits.json").read_text())[0]["held_out"]
    known = {sample.id: sample for sample in choose(recipe, data, 0).samples}
    rows = read(tuple(known[name] for name in held), changed(recipe, {"data.memory_mb": 0}).data)
    assert isinstance(rows.values, Streamed)
    predicted = Pipeline.load(folder / "fold-0" / FOLD).predict(rows)
    write_records(folder / "again.csv", records(recipe, predicted, rows, 0))
    return (folder / "again.csv").read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path, tree: Path) -> None:
    first, second = (made(tmp_path, NEURAL, tree, name) for name in ("a", "b"))
    assert first["figures"] == second["figures"]
    assert predictions(tmp_path / "a") == predictions(tmp_path / "b") != {}
    made(tmp_path, NEURAL, tree, "c", seed=1)
    assert predictions(tmp_path / "c") != predictions(tmp_path / "a")


def process(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(tmp_path: Path, tree: Path) -> None:
    content = {**NEURAL, "id": "toy_long", "train": {**NEURAL["train"], "epochs": 12, "patience": 12}}
    made(tmp_path, content, tree, "whole")
    script = tmp_path / "killed.py"
    script.write_text(
        "import tests.inference.plain_network\nfrom inference.cli.main import main\n"
        f"main(['train', r'{tmp_path / 'toy_long.yaml'}', '--data', r'{tree}', '--run', r'{tmp_path / 'cut'}',"
        "'--threads', '1'])\n"
    )
    begun = process(str(script))
    checkpoint = tmp_path / "cut" / "fold-0" / "streams.0.network.pt"
    while not checkpoint.is_file() and begun.poll() is None:
        time.sleep(0.005)
    begun.send_signal(signal.SIGKILL)
    assert begun.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (tmp_path / "cut" / "fold-1" / "predictions.csv").exists()
    made(tmp_path, content, tree, "cut")
    assert predictions(tmp_path / "cut") == predictions(tmp_path / "whole")


def test_a_finished_run_is_read_and_not_made_again(tmp_path: Path, tree: Path) -> None:
    first = made(tmp_path, CLASSIC, tree)
    (tmp_path / "run" / "fold-1" / "predictions.csv").touch()
    kept = (tmp_path / "run" / "fold-1" / FOLD).stat().st_mtime_ns
    assert made(tmp_path, CLASSIC, tree) == first
    assert (tmp_path / "run" / "fold-1" / FOLD).stat().st_mtime_ns == kept


def test_a_run_folder_of_another_recipe_seed_or_data_is_refused(tmp_path: Path, tree: Path) -> None:
    made(tmp_path, CLASSIC, tree)
    with pytest.raises(RunError, match="another recipe"):
        made(tmp_path, {**CLASSIC, "title": "Another"}, tree)
    with pytest.raises(RunError, match="another seed"):
        made(tmp_path, CLASSIC, tree, seed=2)
    with pytest.raises(RunError, match="other data"):
        made(tmp_path, CLASSIC, busi_tree(tmp_path / "other", groups=24))
    kept = tmp_path / "run" / "fold-1" / FOLD
    kept.rename(kept.with_name("pipeline.joblib"))
    with pytest.raises(RunError, match="left by an earlier version"):
        made(tmp_path, CLASSIC, tree)


@pytest.mark.long
def test_two_processes_train_the_same_network_as_one(tmp_path: Path, tree: Path) -> None:
    content = {**NEURAL, "train": {**NEURAL["train"], "patience": 3, "augment": []}}
    made(tmp_path, content, tree, "one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = tmp_path / "pair.py"
    script.write_text(
        "import tests.inference.plain_network\nfrom inference.cli.main import main\n"
        f"raise SystemExit(main(['train', r'{tmp_path / 'toy_neural.yaml'}', '--data', r'{tree}', "
        f"'--run', r'{tmp_path / 'two'}', '--threads', '1']))\n"
    )
    launcher = process(
        "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
        "--master-port", str(port), str(script),
    )  # fmt: skip
    try:
        assert launcher.wait(timeout=280) == 0
    finally:
        launcher.terminate()  # torchrun ends its processes with itself
    assert json.loads((tmp_path / "two" / "run.json").read_text())["processes"] == 2
    for fold in (0, 1):
        chances = []
        for name in ("one", "two"):
            with (tmp_path / name / f"fold-{fold}" / "predictions.csv").open() as lines:
                chances.append(
                    [json.loads(row["probabilities"])["malignant"] for row in csv.DictReader(lines)]
                )
        np.testing.assert_allclose(chances[1], chances[0], atol=1e-4)


def test_the_run_folder_holds_all_that_is_needed_to_repeat_it(tmp_path: Path, tree: Path) -> None:
    page = made(tmp_path, CLASSIC, tree)
    folder = tmp_path / "run"
    assert (folder / "recipe.yaml").read_text() == (tmp_path / "toy_classic.yaml").read_text()
    facts = json.loads((folder / "run.json").read_text())
    assert facts["hash"] == page["hash"] and facts["seed"] == 0 and "torch" in facts["packages"]
    assert len(facts["commit"]) == 40
    data = json.loads((folder / "data.json").read_text())
    assert len(data["images"]) == 30
    for image in data["images"]:
        for file, sha in {image["file"]: image["sha256"], **image["masks"]}.items():
            assert sha256_of(tree / file) == sha
    splits = json.loads((folder / "splits.json").read_text())
    assert sorted(name for split in splits for name in split["held_out"]) == sorted(
        i["image"] for i in data["images"]
    )
    assert json.loads((folder / "summary.json").read_text()) == page
    assert page["review_number"] == 0.99 and page["honest_number"]["low"] <= page["honest_number"]["value"]
    assert page["substitutions"] == ["a toy"]


def test_what_can_be_learned_is_found_and_shuffled_labels_give_chance(tmp_path: Path) -> None:
    large = busi_tree(tmp_path / "large", groups=60)
    auc = {f["name"]: f for f in made(tmp_path, CLASSIC, large, "honest")["figures"]}["auc"]
    assert auc["low"] > 0.5
    control = made(tmp_path, CLASSIC, large, "shuffled", shuffle_labels=True)
    chance = {figure["name"]: figure for figure in control["figures"]}["auc"]
    assert chance["low"] <= 0.5 <= chance["high"]
    assert any("shuffled" in text for text in control["declared"])


def test_an_augmented_copy_on_disk_stops_the_run_or_is_joined(tmp_path: Path) -> None:
    root = busi_tree(tmp_path / "tree", groups=24)
    folder = root / "Dataset_BUSI_with_GT" / "benign"
    rows = (root / "split.csv").read_text()
    for number in range(101, 107):  # six mirrored copies: some of them fall on the other side
        with Image.open(folder / f"benign ({2 * (number - 100)}).png") as picture:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"benign ({number}).png")
        rows += f"benign ({number}).png,benign,g{number},train\n"
    (root / "split.csv").write_text(rows)
    with pytest.raises(LeakError, match="look like copies"):
        made(tmp_path, CLASSIC, root, "refused")
    page = made(tmp_path, {**CLASSIC, "data": {**CLASSIC["data"], "near_duplicates": "join"}}, root, "joined")
    assert "6 pairs of look-alikes were joined into one group" in page["declared"]


def test_a_published_split_loses_the_patients_whom_it_puts_on_both_sides(tmp_path: Path) -> None:
    data = write("breakhis", tmp_path / "tree")
    recipe = load("sudarshan2019_mil", ("quick",))
    assert isinstance(recipe, Recipe)
    source = tmp_path / "unused.yaml"
    source.write_text("")
    page = run(recipe, RunOptions(data, tmp_path / "run", source, quiet=True))
    assert any("both sides were dropped from training" in text for text in page["declared"])
    split = json.loads((tmp_path / "run" / "splits.json").read_text())[0]
    assert not any("13412" in name for name in split["train"])
    assert any("13412" in name for name in split["held_out"])


@pytest.mark.parametrize("content", [CLASSIC, NEURAL], ids=["classic", "network"])
def test_predictions_do_not_change_when_files_are_renamed_and_stripped(
    tmp_path: Path, tree: Path, content: dict[str, Any]
) -> None:
    made(tmp_path, content, tree)
    fold = tmp_path / "run" / "fold-0"
    with (fold / "predictions.csv").open() as lines:
        recorded = {row["image"]: json.loads(row["probabilities"]) for row in csv.DictReader(lines)}
    originals, copies = [], []
    note = PngImagePlugin.PngInfo()
    note.add_text("Description", "malignant")
    for number, image in enumerate(recorded):
        original = next((tree / "Dataset_BUSI_with_GT").rglob(f"{image}.png"))
        telling, copy = tmp_path / f"{image} benign.png", tmp_path / f"{number * 7919 % 1000:03d}.png"
        with Image.open(original) as picture:
            picture.save(telling, pnginfo=note)
            Image.fromarray(np.asarray(picture)).save(copy)
        originals.append(telling)
        copies.append(copy)
    first, second = predict_files(fold, originals), predict_files(fold, copies)
    assert first == second
    for ours, theirs in zip(first, recorded.values(), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_data_that_are_not_there_and_leaks_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    path = str(recipe_file(tmp_path, CLASSIC))
    assert main(["train", path, "--data", str(tmp_path / "empty"), "--run", str(tmp_path / "r")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["train", "nothing_like_it"]) == 1
    assert "one of the recipes" in capsys.readouterr().err
    with pytest.raises(DatasetError, match="holds no finished fold"):
        predict_files(tmp_path, [])


def test_losses_are_written_as_lines_and_as_tensorboards_events(tmp_path: Path, tree: Path) -> None:
    made(tmp_path, NEURAL, tree)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["tag"] == "fold-0/streams.0.network"] == [1, 2, 3]
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    curve = [(one.step, one.value) for one in events.Scalars("fold-0/streams.0.network/loss")]
    assert curve == [(line["step"], pytest.approx(line["loss"], rel=1e-6)) for line in lines[:3]]
