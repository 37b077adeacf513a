"""Where runs lie, who works in them, and that a run which was killed anywhere goes on in another process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.cli.main import main
from inference.recipes.recipe_file import load
from inference.recipes.runfolder import RunError, folder_of, working_in
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import Recipe
from tests.inference import plain_network  # noqa: F401 - registers `plain`
from tests.inference.recipes.trees import CLASSIC, NEURAL, busi_tree, predictions, recipe_file


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return busi_tree(tmp_path_factory.mktemp("busi"), groups=12)


def test_runs_lie_in_cad_runs_or_where_the_command_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAD_RUNS", raising=False)
    assert folder_of("a") == Path("runs/a")
    monkeypatch.setenv("CAD_RUNS", str(tmp_path / "elsewhere"))
    assert folder_of("a") == tmp_path / "elsewhere" / "a"
    assert folder_of("a", tmp_path / "b") == tmp_path / "b"
    monkeypatch.setenv("CAD_RUNS", "~/cad-runs")
    assert folder_of("a") == Path.home() / "cad-runs" / "a"


def test_train_keeps_its_run_outside_the_clone(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAD_RUNS", str(tmp_path / "elsewhere"))
    source = recipe_file(tmp_path, CLASSIC)
    assert main(["train", str(source), "--data", str(tree), "--threads", "1"]) == 0
    assert (tmp_path / "elsewhere" / "toy_classic" / "summary.json").is_file()


def test_a_run_is_one_processs_at_a_time(
    tmp_path: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = recipe_file(tmp_path, CLASSIC)
    order = ["train", str(source), "--data", str(tree), "--run", str(tmp_path / "run"), "--threads", "1"]
    with working_in(tmp_path / "run"):
        assert main(order) == 1
        assert "another process works in this run" in capsys.readouterr().err
        with pytest.raises(RunError), working_in(tmp_path / "run"):
            pass
    assert main(order) == 0


def _run(folder: Path, content: dict[str, Any], tree: Path, name: str) -> dict[str, Any]:
    source = recipe_file(folder, content)
    recipe = load(str(source))
    assert isinstance(recipe, Recipe)
    return run(recipe, RunOptions(tree, folder / name, source, quiet=True))


class Killed(BaseException):
    """The end of a process, for those who look at what it left."""


_left = 0


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    global _left
    if event == "os.rename" and _left:
        _left -= 1
        if _left == 0:
            raise Killed


def _killed_at(write: int, folder: Path, content: dict[str, Any], tree: Path) -> bool:
    """Run until its n-th file is about to be put in place; False if it came to its end before."""
    global _left
    _left = write
    try:
        _run(folder, content, tree, "cut")
    except Killed:
        return True
    finally:
        _left = 0
    return False


SEARCHED: dict[str, Any] = {
    **NEURAL,
    "id": "toy_phases",
    "streams": [{"network": "plain"}],
    "train": {**NEURAL["train"], "epochs": 1, "patience": 1},
    "search": {"over": {"train.learning_rate": [0.01]}, "folds": 2},
    "calibrate": True,
}


def test_a_run_killed_again_and_again_ends_as_if_nothing_had_happened(tmp_path: Path, tree: Path) -> None:
    """Opening, a search's checkpoints, epochs, what a fold learned, its predictions, the next fold, the summary: each
    run dies before a file is in place, and the next one goes on from there."""
    torch.set_num_threads(1)
    sys.addaudithook(_watch)  # stays for good, and does nothing while `_left` is 0
    whole = _run(tmp_path, SEARCHED, tree, "whole")
    deaths = 0
    while _killed_at(deaths + 1, tmp_path, SEARCHED, tree):  # one file further each time
        deaths += 1
    assert deaths > 5
    assert _run(tmp_path, SEARCHED, tree, "cut") == whole
    assert predictions(tmp_path / "cut") == predictions(tmp_path / "whole")
