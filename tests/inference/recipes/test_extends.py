"""Recipes laid over others (`extends`), and over themselves (`sweep`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference.cli.main import main
from inference.recipes.recipe_file import DEPTH, load, read_file
from inference.recipes.schema import RecipeError
from tests.inference.recipes.trees import CLASSIC, busi_tree


def write(folder: Path, name: str, **content: Any) -> str:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


def test_a_recipe_is_laid_over_the_one_that_it_extends(tmp_path: Path) -> None:
    write(tmp_path, "base", **{**CLASSIC, "variants": {"quick": {"data": {"folds": 2}}}})
    child = write(
        tmp_path, "child", extends="base.yaml", id="child", head={"svm": {"C": 3.0}}, substitutions=["an SVM"],
        variants={"quick": {"train": {"epochs": 1}}, "large": {"data": {"size": [90, 120]}}},
    )  # fmt: skip
    recipe = load(child)
    assert recipe.id == "child" and recipe.head is not None and recipe.head.name == "svm"
    assert recipe.data.dataset == "busi" and recipe.substitutions == ("a toy", "an SVM")
    quick = load(child, ("quick",))
    assert quick.data.folds == 2 and quick.train.epochs == 1
    assert load(child, ("large",)).data.size == (90, 120)
    assert [file.name for file in read_file(Path(child)).files] == ["child.yaml", "base.yaml"]


def test_the_hash_is_that_of_the_result_whoever_wrote_which_line(tmp_path: Path) -> None:
    write(tmp_path, "base", **CLASSIC)
    child = write(tmp_path, "child", extends="base.yaml", id="toy_classic")
    assert load(child).hash == load(str(tmp_path / "base.yaml")).hash
    write(tmp_path, "base", **{**CLASSIC, "seed_of_nothing": 1})
    with pytest.raises(RecipeError, match=r"child\.yaml: seed_of_nothing"):
        load(child)


def test_a_landed_recipe_can_be_extended_by_name(tmp_path: Path) -> None:
    child = write(
        tmp_path, "child", extends="jiang2019_bhcnet", id="child", data={"where": {"magnification": "400"}}
    )
    assert load(child).data.where == {"magnification": "400"} and load(child).reference == 27


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ({"a": "a.yaml"}, r"a\.yaml: extends: a → a comes back to itself"),
        ({"a": "b.yaml", "b": "a.yaml"}, r"a\.yaml: extends: a → b → a comes back to itself"),
        ({"a": "nobody"}, "extends: nobody is neither a file beside it nor one of the recipes"),
        ({"a": ["b", "c"]}, "extends: the name of one recipe"),
        ({"a": 3}, "extends: the name of one recipe"),
        (
            {"a": "b.yaml", **{chr(98 + n): f"{chr(99 + n)}.yaml" for n in range(DEPTH)}},
            f"a chain of more than {DEPTH} recipes",
        ),
    ],
)
def test_chains_that_never_end_or_lead_nowhere_are_sentences(
    tmp_path: Path, layers: dict[str, Any], sentence: str
) -> None:
    for name, base in layers.items():
        write(tmp_path, name, extends=base, id=name)
    with pytest.raises(RecipeError, match=sentence):
        load(str(tmp_path / "a.yaml"))


def test_a_recipe_that_extends_another_has_an_id_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, "base", **CLASSIC)
    with pytest.raises(RecipeError, match=r"child\.yaml: id: a recipe that extends another"):
        load(write(tmp_path, "child", extends="base.yaml", head="svm"))


SWEEP = {
    "magnification": {
        "x40": {"data.where.magnification": "40"},
        "x100": {"data.where.magnification": "100"},
        "x200": {"data.where.magnification": "200"},
        "x400": {"data": {"where": {"magnification": "400"}}},
    },
    "task": {"binary": {}, "kinds": {"task.classes": ["benign", "malignant", "other"], "task.read": "label"}},
}


def test_four_magnifications_times_two_tasks_are_eight_recipes(tmp_path: Path) -> None:
    path = write(tmp_path, "swept", **{**CLASSIC, "sweep": SWEEP})
    points = read_file(Path(path)).points
    assert [point.name for point in points][:3] == ["x40-binary", "x40-kinds", "x100-binary"]
    recipes = {point.name: load(path, (), point.name) for point in points}
    assert len({recipe.hash for recipe in recipes.values()}) == len(recipes) == 8
    assert len({recipe.id for recipe in recipes.values()}) == 8
    assert recipes["x400-kinds"].id == "toy_classic_x400_kinds"
    assert recipes["x400-kinds"].data.where == {"magnification": "400"}
    assert len(recipes["x400-kinds"].task.classes) == 3 and len(recipes["x400-binary"].task.classes) == 2
    assert load(path).id == "toy_classic"


def test_an_axis_of_values_names_its_points_by_them(tmp_path: Path) -> None:
    sweep = {"head": ["svm", {"knn": {"neighbours": 3}}], "streams.0.features.0": ["intensity", "glcm"]}
    path = write(tmp_path, "swept", **{**CLASSIC, "sweep": sweep})
    assert [point.name for point in read_file(Path(path)).points] == [
        "svm-intensity", "svm-glcm", "knn-intensity", "knn-glcm"
    ]  # fmt: skip
    recipe = load(path, (), "knn-glcm")
    assert recipe.head is not None and recipe.head.parameters == {"neighbours": 3}
    assert recipe.streams[0].features[0].name == "glcm"


def test_a_variant_is_laid_over_a_point_and_a_sweep_is_inherited(tmp_path: Path) -> None:
    content = {**CLASSIC, "sweep": {"head.logistic_regression.C": [1.0, 0.1]}}
    write(tmp_path, "base", **{**content, "variants": {"quick": {"data": {"folds": 2}}}})
    child = write(tmp_path, "child", extends="base.yaml", id="child")
    recipe = load(child, ("quick",), "0.1")
    assert recipe.data.folds == 2 and recipe.head is not None and recipe.head.parameters == {"C": 0.1}
    assert recipe.id == "child_0_1"


@pytest.mark.parametrize(
    ("sweep", "sentence"),
    [
        ([], "sweep is no mapping of axes"),
        ({"a": 3}, r"sweep\.a is neither a mapping of names nor a list of values"),
        ({"a": {"b": 3}}, r"sweep\.a\.b is no mapping of keys"),
        ({"data.folds": [2, 2]}, r"sweep\.data\.folds: 2 stands there twice"),
        ({"data.size": [[32, 32]]}, "gives a point no name"),
        ({"data.folds": list(range(2, 70))}, "68 points, at most 64"),
    ],
)
def test_sweeps_that_are_none_are_sentences(tmp_path: Path, sweep: Any, sentence: str) -> None:
    with pytest.raises(RecipeError, match=rf"swept\.yaml: .*{sentence}|swept\.yaml: {sentence}"):
        load(write(tmp_path, "swept", **{**CLASSIC, "sweep": sweep}))


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("streams.4.trained", "'4' is no entry of a list of 1"),
        ("data.dataset.name", "there is nothing below 'name' to set"),
        ("data.sise", "data.sise"),
    ],
)
def test_a_points_key_that_leads_nowhere_is_named(tmp_path: Path, key: str, sentence: str) -> None:
    path = write(tmp_path, "swept", **{**CLASSIC, "sweep": {key: [1]}})
    with pytest.raises(RecipeError, match=sentence):
        load(path, (), "1")
    with pytest.raises(RecipeError, match="there is no point 'other'"):
        load(path, (), "other")


def test_train_runs_all_points_or_one_and_shows_them_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = busi_tree(tmp_path / "tree", groups=12)
    write(tmp_path, "base", **{**CLASSIC, "data": {**CLASSIC["data"], "folds": 2}})
    path = write(
        tmp_path, "swept", extends="base.yaml", id="swept", sweep={"head": ["logistic_regression", "naive_bayes"]}
    )  # fmt: skip
    order = ["train", path, "--data", str(tree), "--run", str(tmp_path / "run"), "--threads", "1"]
    assert main([*order, "--point", "naive_bayes"]) == 0
    assert "logistic_regression" not in capsys.readouterr().out
    assert main(order) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["point", "measure", "review", "ours", "images", "recipe"]
    assert [row.split()[:3] for row in rows] == [
        ["logistic_regression", "auc", "0.990"], ["naive_bayes", "auc", "0.990"]
    ]  # fmt: skip
    own = tmp_path / "run" / "naive_bayes"
    assert (own / "extended-1-base.yaml").read_text() == (tmp_path / "base.yaml").read_text()
    assert (own / "recipe.yaml").read_text() == Path(path).read_text()
    assert set(json.loads((tmp_path / "run" / "sweep.json").read_text())) == {
        "logistic_regression",
        "naive_bayes",
    }
    assert main([*order, "--point", "svm"]) == 1
    assert "there is no point 'svm'" in capsys.readouterr().err


def test_points_that_a_variant_makes_the_same_are_refused_before_any_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {**CLASSIC, "sweep": {"data.folds": [2, 3]}, "variants": {"quick": {"data": {"folds": 4}}}}
    assert main(["train", write(tmp_path, "swept", **content), "--quick", "--data", str(tmp_path)]) == 1
    assert "2 and 3 are the same recipe" in capsys.readouterr().err
