"""The records of `python -m inference prove`: each recipe has one, of today, and what one says is true of toys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.datasets.generated.taught import taught
from inference.recipes import proof
from inference.recipes.pictures import read
from inference.recipes.recipe_file import find, known, load, read_file
from tests.inference.recipes.trees import CLASSIC, recipe_file


def test_every_recipe_has_a_record_of_today() -> None:
    """Those without one are named with a reason in `proof.WITHOUT`."""
    assert proof.states() == []
    assert set(proof.WITHOUT) <= set(known()) and all(len(why) > 20 for why in proof.WITHOUT.values())


def test_a_record_is_out_of_date_when_recipe_or_ablation_changes(tmp_path: Path) -> None:
    name = next(name for name in known() if name not in proof.WITHOUT)
    page = json.loads((proof.PROOFS / f"{name}.json").read_text(encoding="utf-8"))
    assert "has no record" in proof.state_of(name, tmp_path)
    for digest in ("hash", "proved", "ablated"):
        changed = {**page, "digests": {**page["digests"], digest: "0" * 64}}
        (tmp_path / f"{name}.json").write_text(json.dumps(changed))
        assert f"of another recipe ({digest})" in proof.state_of(name, tmp_path)
    denied = {**page, "verdict": {**page["verdict"], "learns": False}, "note": ""}
    (tmp_path / f"{name}.json").write_text(json.dumps(denied))
    assert "not so: learns" in proof.state_of(name, tmp_path)
    (tmp_path / "gone.json").write_text("{}")
    assert any("gone: there is no such recipe" in sentence for sentence in proof.states(tmp_path))


def proved(folder: Path, monkeypatch: pytest.MonkeyPatch, **ablated: Any) -> dict[str, Any]:
    """A toy of grey values and logistic regression."""
    content = {**CLASSIC, "variants": {"quick": {"data": {"folds": 2}}, "ablated": ablated}}
    path = recipe_file(folder, content)
    monkeypatch.setattr(proof, "find", lambda _: path)
    return proof.prove("toy_classic")


def test_a_method_that_learns_and_one_whose_block_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = proved(tmp_path, monkeypatch, head="naive_bayes")
    assert all(page["verdict"].values()), page
    assert page["chance"] == 0.5 < page["learned"]["low"]
    idle = proved(tmp_path, monkeypatch, title="Another name alone")
    assert idle["ablated"]["moved"] == 0 and not idle["verdict"]["own_block_is_on_the_path"]


def test_a_figure_that_does_not_fall_with_shuffled_labels_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a step learns from the truth by another way: here the labels are not dealt at all."""
    monkeypatch.setattr(proof, "_dealt", lambda rows, *_: rows)
    page = proved(tmp_path, monkeypatch, head="naive_bayes")
    assert page["verdict"]["learns"] and not page["verdict"]["shuffled_labels_destroy_it"]
    assert len(page["shuffled"]) == 6


def test_a_deal_has_nothing_to_do_with_the_truth_and_all_deals_give_every_label(tmp_path: Path) -> None:
    recipe = load(str(recipe_file(tmp_path, CLASSIC)))
    samples = taught(
        tmp_path, recipe.task.classes, "malignant", (20, 20), colour=False, dark=True, dataset="busi",
        groups=8, each=2, seed=0,
    )  # fmt: skip
    rows = read(samples, recipe.data)
    deals = [[s.label for s in proof._dealt(rows, recipe, deal).samples] for deal in (0, 1)]
    assert all(one != other for one, other in zip(*deals, strict=True))
    truth = np.array([sample.label == "malignant" for sample in samples])
    for deal in deals:
        given = np.array([label == "malignant" for label in deal])
        assert given[truth].mean() == given[~truth].mean() == 0.5


def test_a_made_up_picture_shows_its_class_and_comes_again(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "colour": True,
        "dark": True,
        "dataset": "idc",
        "groups": 6,
        "each": 1,
        "seed": 3,
    }
    first = taught(tmp_path / "a", ("benign", "malignant"), "malignant", (32, 40), **settings)
    again = taught(tmp_path / "b", ("benign", "malignant"), "malignant", (32, 40), **settings)
    assert [s.path.read_bytes() for s in first] == [s.path.read_bytes() for s in again]
    assert {s.label for s in first} == {"benign", "malignant"}


def test_every_ablation_says_in_its_title_what_stands_in_the_place() -> None:
    for name in known():
        if name not in proof.WITHOUT:
            ablated = read_file(find(name)).variants[proof.ABLATED]
            assert ablated["title"].startswith("Without its own block: "), name
