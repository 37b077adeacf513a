"""`docs/reproductions/` is what `python -m inference reproductions` writes of the files beside it, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.cli.main import main
from inference.evaluation.records import PREDICTIONS, Record, write_records
from inference.recipes.protocol import LEAKY
from inference.recipes.recipe_file import known, load
from inference.recipes.reproduction import INDEX, added_by_the_split, collected, in_seconds, stored, title_of
from inference.recipes.reproduction_pages import rendered, row, write
from inference.recipes.reproduction_plot import inflation
from inference.recipes.review import METHODS, REPRODUCTIONS, committed
from inference.recipes.runfolder import RunError
from inference.recipes.runner import RunOptions, run
from inference.recipes.taking_over import review_measure
from inference.recipes.validation import changed
from tests.inference.recipes.trees import CLASSIC, busi_tree, recipe_file


def test_the_committed_pages_are_those_of_the_committed_files() -> None:
    made = rendered(REPRODUCTIONS)
    for name, text in made.items():
        assert (REPRODUCTIONS / name).read_text(encoding="utf-8") == text, (
            f"{name} was edited, or a file beside it has changed; run: python -m inference reproductions"
        )
    there = {f.relative_to(REPRODUCTIONS).as_posix() for f in REPRODUCTIONS.rglob("*") if f.is_file()}
    runs = {f.name for f in REPRODUCTIONS.glob("*.json")} - {f"{INDEX}.json"}
    assert there == {*made, *runs}


def test_every_recipe_of_today_has_its_time_and_figure_in_seconds() -> None:
    pages = {page["id"]: page for page in in_seconds(REPRODUCTIONS)}
    assert set(pages) == set(known()), "run: python -m inference reproductions --quick NAME"
    for name, page in pages.items():
        assert page["hash"] == load(name, ("quick",)).hash, (
            f"run: python -m inference reproductions --quick {name}"
        )
        assert 0 < page["seconds"] < 60
    text = (REPRODUCTIONS / "README.md").read_text(encoding="utf-8")
    assert all(f"[{number}] `" in text for number in METHODS)


def test_a_run_in_seconds_is_kept_beside_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "quick.json").write_text((REPRODUCTIONS / "quick.json").read_text())
    name = "hirra2021_deep_belief"
    assert main(["reproductions", "--quick", name, "--out", str(tmp_path)]) == 0
    before, after = ({p["id"]: p for p in in_seconds(each)} for each in (REPRODUCTIONS, tmp_path))
    assert after.pop(name)["honest_number"] == pytest.approx(before.pop(name)["honest_number"], abs=0.05)
    assert after == before
    assert main(["reproductions", "--quick", "nobody", "--out", str(tmp_path)]) == 1
    assert "nobody: no recipe of" in capsys.readouterr().err


def test_whatever_is_inflated_says_so_on_its_page_and_its_plot() -> None:
    for _, images in stored(REPRODUCTIONS):
        if images is not None:
            page = (REPRODUCTIONS / f"{title_of(images)}.md").read_text(encoding="utf-8")
            assert images["leaky"] == LEAKY and f"## Image level ({LEAKY})" in page
            if "roc" in images:
                plot = REPRODUCTIONS / "plots" / f"{title_of(images)}.inflated.svg"
                assert f"<title>{LEAKY}</title>" in plot.read_text(encoding="utf-8")


def test_the_plot_has_a_line_of_its_own_for_every_row_however_many_there_are() -> None:
    rows = [row(pair) for pair in stored(REPRODUCTIONS)]
    for many in (rows, [{**rows[n % len(rows)], "variants": [f"variant_{n}"]} for n in range(50)], []):
        drawn = inflation(many)
        names = re.findall(r'<text x="12" y="(\d+)">(.+?)</text>', drawn)
        assert len({name for _, name in names}) == len(names) == len(many)
        heights = [int(y) for y, _ in names]
        assert all(below - above == 22 for above, below in pairwise(heights))
        assert float(re.findall(r'height="(\d+)"', drawn)[0]) > max(heights, default=0) + 22
        across = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', drawn)]
        assert all(360 <= x <= 870 for x in across)


def test_the_reviews_number_stands_with_its_own_measure() -> None:
    page = json.loads((REPRODUCTIONS / "maleki2023_frozen_xgboost-busbra.json").read_text())
    assert page["measure"] == "auc" and review_measure(page) == "image_recognition_rate"
    assert review_measure({**page, "review_number": 0.91}) == "auc", "a variant's own number"
    assert review_measure({**page, "id": "a_recipe_of_ones_own"}) == "auc"
    text = (REPRODUCTIONS / "maleki2023_frozen_xgboost-busbra.md").read_text()
    assert "The review says 0.936 (image_recognition_rate). Ours below is in auc." in text


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: groups whole, dealt by images, a control and one that is not finished."""
    folder = tmp_path_factory.mktemp("runs")
    tree = busi_tree(folder / "tree", groups=24)
    path = recipe_file(folder, CLASSIC)
    recipe = load(str(path))
    out = folder / "runs"
    run(recipe, RunOptions(tree, out / "whole", path, quiet=True))
    run(recipe, RunOptions(tree, out / "control", path, quiet=True, shuffle_labels=True))
    leaky = changed(recipe, {"data.protocol": "image_level"})
    run(leaky, RunOptions(tree, out / "images", path, quiet=True, inflated=True))
    (out / "begun").mkdir()
    (out / "begun" / "run.json").write_text("{}")
    return out


def test_pages_come_of_stored_runs_and_come_again(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["reproductions", "--runs", str(runs), "--out", str(tmp_path)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "begun holds no finished run" in said.err and "a control, not a result" in said.err
    line = json.loads((tmp_path / f"{INDEX}.json").read_text())["methods"][0]
    whole: dict[str, Any] = json.loads((runs / "whole" / "summary.json").read_text())
    leaky: dict[str, Any] = json.loads((runs / "images" / "summary.json").read_text())
    assert line["patient_level"] == whole["honest_number"]
    assert line["image_level_leaky"] == leaky["honest_number"]
    expected = round(leaky["honest_number"]["value"] - whole["honest_number"]["value"], 4)
    assert line["difference"] == expected and line["hash"] == whole["hash"]
    aucs = [next(f["value"] for f in each["figures"] if f["name"] == "auc") for each in (leaky, whole)]
    added = line["auc_added_by_the_split"]
    assert added["value"] == pytest.approx(aucs[0] - aucs[1], abs=1e-3)
    assert added["low"] <= added["value"] <= added["high"]
    assert (added["images"], added["groups"]) == (whole["images"], whole["groups"])
    page = (tmp_path / "toy_classic.md").read_text()
    assert LEAKY in page and f"{expected:+.3f}" in page and "- a toy" in page
    kept = json.loads((tmp_path / "toy_classic.json").read_text())
    assert sum(map(sum, kept["confusion"]["rows"])) == kept["images"] == 24
    assert kept["roc"][0] == [0, 0] and kept["roc"][-1] == [1, 1] and kept["seconds"] >= 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "gone.md").write_text("a page of a method that is no more")
    assert main(arguments) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert committed("toy_classic", tmp_path) is not None


def test_a_run_on_a_part_of_a_set_says_of_how_much(runs: Path, tmp_path: Path) -> None:
    path = recipe_file(tmp_path, CLASSIC)
    recipe = changed(load(str(path)), {"data.limit_groups": 12})
    run(recipe, RunOptions(runs.parent / "tree", tmp_path / "runs" / "part", path, quiet=True))
    assert main(["reproductions", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    line = json.loads((tmp_path / "out" / f"{INDEX}.json").read_text())["methods"][0]
    assert line["drawn_of"] == 24 and line["images"] < 24
    table = (tmp_path / "out" / "README.md").read_text()
    assert f"busi, {line['images']} of 24 images of 12 groups" in table
    assert "0 of 1 on all images of a public set" in table


def test_the_command_names_both_runs_of_a_page(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored_, out = tmp_path / "runs", tmp_path / "out"
    for name in ("first", "second"):
        shutil.copytree(runs / "whole", stored_ / name)
    arguments = ["reproductions", "--runs", str(stored_), "--out", str(out)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    why = f"{stored_ / 'second'}: its page is made of {stored_ / 'first'}, which says the same"
    assert f"left out: {why}" in said.err
    assert "first: toy_classic.json" in said.out and "second:" not in said.out
    summary = stored_ / "second" / "summary.json"
    other = json.loads(summary.read_text())
    other["figures"][0]["value"] /= 2
    summary.write_text(json.dumps(other))
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert all(str(stored_ / name) in said.err for name in ("first", "second"))
    assert "figures differ" in said.err
    assert before == {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}


def test_what_the_split_adds_is_drawn_by_the_groups_that_were_whole(tmp_path: Path) -> None:
    """Both views of a woman are remembered, or both are guessed: her two images are one draw, not two."""
    answers = np.random.default_rng(0).random(60)
    for run_, remembers in (("whole", False), ("images", True)):
        made = []
        for image in range(60):
            woman = image // 2
            label, own = ("malignant" if woman % 2 else "benign"), float(answers[woman])
            said = 0.9 * (woman % 2) if remembers and woman % 3 else own
            group = f"w{woman}" if run_ == "whole" else f"i{image}"
            told = {"benign": 1 - said, "malignant": said}
            made.append(Record("busi", f"{image}.png", group, label, told, split="oof", fold=0))
        (tmp_path / run_ / "fold-0").mkdir(parents=True)
        write_records(tmp_path / run_ / "fold-0" / PREDICTIONS, made)
    added = added_by_the_split(tmp_path / "images", tmp_path / "whole", "malignant")
    assert added is not None and (added["images"], added["groups"]) == (60, 30)
    assert added["value"] > 0.1 and 0 < added["low"] < added["value"] < added["high"]
    assert added_by_the_split(tmp_path / "whole", tmp_path / "whole", "malignant") == {
        "value": 0, "low": 0, "high": 0, "images": 60, "groups": 30,
    }  # fmt: skip
    assert added_by_the_split(tmp_path / "images", tmp_path / "whole", "normal") is None


def test_what_is_no_result_is_no_reproduction(runs: Path) -> None:
    for name, why in (("begun", "no finished run"), ("control", "a control")):
        with pytest.raises(RunError, match=why):
            collected(runs / name)


def test_a_page_without_runs_says_that_there_is_none(tmp_path: Path) -> None:
    write(tmp_path)
    assert "No method was run both ways yet." in (tmp_path / "README.md").read_text()
