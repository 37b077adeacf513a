"""A recipe's training in stages: what each says holds in it, and recipes without stages are what they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.recipes.rehearsal import rehearse
from inference.recipes.reproduction import INDEX, QUICK
from inference.recipes.review import REPRODUCTIONS
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import RecipeError
from inference.recipes.taking_over import changed_since, in_todays_words, todays
from inference.recipes.validation import parse
from tests.inference import plain_network  # noqa: F401 - registers `plain`
from tests.inference.recipes.trees import NEURAL, busi_tree

STAGES = [
    {"epochs": 1, "augment": ["flips"], "averaging": 0.9},
    {"epochs": 2, "learning_rate": 0.001, "loss": "focal", "restarts": 2},
]


def staged(stages: list[dict[str, Any]]) -> dict[str, Any]:
    return {**NEURAL, "train": {**NEURAL["train"], "stages": stages}}


@pytest.mark.parametrize(
    "name", [page.stem for page in sorted(REPRODUCTIONS.glob("*.json")) if page.stem not in (INDEX, QUICK)]
)
def test_what_is_on_record_was_made_by_the_recipe_as_it_stands(name: str) -> None:
    """But for the words of its substitutions, which are today's."""
    said = json.loads((REPRODUCTIONS / f"{name}.json").read_text())
    assert todays(said) is not None and not changed_since(said)
    assert in_todays_words(said) == said


def test_stages_are_in_the_digest() -> None:
    digests = {parse(staged(stages), "toy").hash for stages in ([], STAGES, STAGES[:1], STAGES[::-1])}
    assert len(digests) == 4


def test_a_recipe_runs_through_its_stages(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    source = tmp_path / "toy.yaml"
    source.write_text("")
    tree = busi_tree(tmp_path / "tree", groups=12)
    run(parse(staged(STAGES), "toy"), RunOptions(tree, tmp_path / "run", source, quiet=True))
    checkpoints = sorted(path.name for path in (tmp_path / "run" / "fold-0").glob("*.pt"))
    assert checkpoints == [
        "streams.0.network.stage-0.pt",
        "streams.0.network.stage-1.restart-0.pt",
        "streams.0.network.stage-1.restart-1.pt",
    ]
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["tag"].startswith("fold-0")] == [1, 1, 2, 1, 2]


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        ({"loss": "dice_bce"}, r"train\.stages\.0: train\.loss: dice_bce works on outlines"),
        ({"loss": "crossentropy"}, r"train\.stages\.0\.loss: no loss block 'crossentropy'"),
        ({"augment": [{"affine": {"degree": 3}}]}, r"train\.stages\.0\.augment\.0: affine takes no 'degree'"),
        ({"epochs": 0}, r"train\.stages\.0\.epochs"),
        ({"epoch": 3}, r"train\.stages\.0\.epoch"),
    ],
)
def test_a_mistake_in_a_stage_is_told_before_any_training(stage: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        parse(staged([stage]), "toy")


def test_only_a_backbone_can_be_frozen() -> None:
    with pytest.raises(RecipeError, match=r"streams\.0\.network: .*no backbone to freeze"):
        rehearse(parse(staged([{"freeze": 1}]), "toy"))
