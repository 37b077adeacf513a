"""The JSON Schema that editors hold a recipe against while it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from inference.recipes.json_schema import FILE, text
from inference.recipes.recipe_file import FOLDER, known
from tests.inference.recipes.trees import CLASSIC

SCHEMA = json.loads(FILE.read_text(encoding="utf-8"))


def mistakes(content: dict[str, Any]) -> list[str]:
    as_json = json.loads(json.dumps(content))  # entries of a list by number become text, as in an editor
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(as_json)]


def test_the_committed_file_is_todays() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run `python -m inference schema --write`"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", known())
def test_every_recipe_follows_it_and_says_so_in_its_first_line(name: str) -> None:
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert lines.splitlines()[0] == f"# yaml-language-server: $schema={FILE.name}"
    assert mistakes(yaml.safe_load(lines)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"hed": "svm"},
        {"head": "svn"},
        {"head": {"svm": {"D": 1}}},
        {"head": {"svm": {"C": "much"}}},
        {"head": {"svm": {}, "knn": {}}},
        {"preprocess": ["resize"]},
        {"streams": [{"features": ["intensity"], "trianed": False}]},
        {"streams": [{"network": {"classifier": {"backbone": "effnet_lite9"}}}]},
        {"streams": [{"network": {"classifier": {"backbone": {"resnet18": {"attention": "sse"}}}}}]},
        {"train": {"loss": {"cross_entropy": {"smoothing": 0.1}}}},
        {"search": {"method": "gird", "over": {"head.parameters.C": [1]}}},
        {"variants": {"quick": {"head": "svn"}}},
        {"variants": {"quick": {"streams": {"0": {"features": ["gclm"]}}}}},
        {"sweep": {"head": 3}},
        {"data": {"size": [8, 8]}},
    ],
)
def test_a_mistake_is_underlined(changes: dict[str, Any]) -> None:
    assert mistakes(CLASSIC) == []
    assert mistakes({**CLASSIC, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"head": {"svm": None}},
        {"head": {"svm": {"C": 3}}},
        {
            "streams": [
                {"network": {"classifier": {"backbone": {"resnet18": {"attention": "se"}}, "pool": "gap"}}}
            ]
        },
        {"variants": {"quick": {"streams": {"0": {"features": ["glcm"]}}, "data": {"folds": 2}}}},
        {"sweep": {"head": ["svm", {"knn": {"neighbours": 3}}], "task": {"two": {"task.read": "label"}}}},
    ],
)
def test_what_the_laboratory_takes_is_not(changes: dict[str, Any]) -> None:
    assert mistakes({**CLASSIC, **changes}) == []


def test_a_recipe_that_extends_another_needs_only_what_it_changes() -> None:
    assert mistakes({"extends": "jiang2019_bhcnet", "id": "mine", "data": {"size": [64, 64]}}) == []
    assert mistakes({"extends": "jiang2019_bhcnet", "data": {"size": [64, 64]}})
    assert mistakes({"extends": "jiang2019_bhcnet", "id": "mine", "data": {"sise": 3}})
