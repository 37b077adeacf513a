"""The served models are found by their folders, and their recipes say what nobody else says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from imaging.digest import sha256_of
from inference.champions import registry
from inference.champions.method import facts, method
from inference.champions.recipe import ChampionRecipe, parse
from inference.datasets.catalogue import DATASETS
from inference.evaluation.account import read_account
from inference.recipes.recipe_file import read
from inference.recipes.schema import RecipeError
from inference.runtime import pipelines
from inference.runtime.custody import RECIPE
from inference.runtime.store import model_names, read_manifest, version_folder


def test_every_model_of_the_store_is_a_champion_with_a_pipeline() -> None:
    assert registry.names() == model_names()
    assert set(registry.names()) <= set(pipelines.names())


@pytest.mark.parametrize("name", registry.names())
def test_a_recipe_says_whom_the_model_serves_and_what_its_figures_come_from(name: str) -> None:
    recipe, manifest = registry.recipe_of(name), read_manifest(name)
    assert recipe.champion == recipe.id == name
    assert recipe.modality == manifest.input.modality
    assert recipe.datasets and set(recipe.datasets) <= DATASETS.keys()
    assert registry.datasets_of(name) == recipe.datasets


@pytest.mark.parametrize("name", registry.names())
def test_a_version_holds_the_recipe_that_it_was_made_by_and_its_card_names_the_digest(name: str) -> None:
    folder = version_folder(read_manifest(name))
    assert sha256_of(folder / RECIPE) == read_account(folder).recipe_sha256


def changed(name: str, key: str, value: object) -> ChampionRecipe:
    content = read(registry.recipe_file(name))
    place: Any = content
    *path, last = key.split(".")
    for step in path:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[int(last) if isinstance(place, list) else last] = value
    return parse(content, registry.recipe_file(name))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("ultrasound", "networks.lesion.network.lesion.decoder", 48),
        ("ultrasound", "networks.lesion.train.stages.0.freeze", 3),
        ("ultrasound", "networks.lesion.train.augment", ["grey_levels"]),
        ("ultrasound", "networks.lesion.train.objective", {"assessed_lesion": {"smoothing": 0.1}}),
        ("ultrasound", "networks.lesion.train.stages.0.views.whole_closer_elsewhere.elsewhere", 0.25),
        ("ultrasound", "networks.lesion.train.stages.1.restarts", 5),
        ("ultrasound", "calibrate.coverage", 0.8),
        ("ultrasound", "gates.novelty_room", 1.2),
        ("ultrasound", "protocol.folds", 4),
        ("ultrasound", "protocol.collections", ["busi"]),
        ("ultrasound", "networks.lesion.train.steps", 99),
        ("mammography", "settings.film_penalty", 1.0),
        ("mammography", "networks.masses.train.objective.film_masses.smoothing", 0.2),
        ("histopathology", "settings.softening", 0.0),
        ("histopathology", "networks.teacher.train.stages.0.epochs", 9),
    ],
)
def test_whatever_decides_the_training_is_in_the_digest(name: str, key: str, value: object) -> None:
    assert changed(name, key, value).hash != registry.recipe_of(name).hash


@pytest.mark.parametrize(
    ("key", "value"), [("modality", "MR"), ("datasets", ["busbra"]), ("history", "Nothing was read.")]
)
def test_whom_a_model_serves_is_not(key: str, value: object) -> None:
    assert changed("ultrasound", key, value).hash == registry.recipe_of("ultrasound").hash


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("networks.lesion.network", {"lesoin": {}}, "networks.lesion: network: no network block 'lesoin'"),
        ("networks.lesion.train.augment", ["noise"], "augment: no augment block 'noise'"),
        ("networks.lesion.train.stages.1.epoch", 3, "networks.lesion.train.1.epoch"),
        ("networks.lesion.train.loss", "cross_entropy", "either a loss or an objective"),
        ("networks.lesion.train.stages.0.views", {"whole_and_closer": {"whol": 1}}, "takes no 'whol'"),
    ],
)
def test_a_mistake_in_a_stage_is_told_with_its_key(key: str, value: object, sentence: str) -> None:
    with pytest.raises(RecipeError, match=r"recipe\.yaml: networks") as caught:
        changed("ultrasound", key, value)
    assert sentence in str(caught.value)


def test_the_card_says_what_the_recipe_says() -> None:
    said = method(registry.recipe_of("ultrasound", "2.2.0"))
    assert "run twice from the same weights" in said and "class weights 1 · 1.6 · 1.2" in said
    said = method(registry.recipe_of("ultrasound"))
    assert "7 epochs of 100 batches of 16" in said and "elsewhere 0.125" in said
    five = method(changed("ultrasound", "networks.lesion.train.stages.1.restarts", 5))
    assert "run five times" in five and "twice" not in five
    frozen = changed("ultrasound", "networks.lesion.train.stages.1.freeze", 3)
    assert "first 3 stages" in method(frozen) and "freeze 3" in facts(frozen)["lesion, stage 2"]
    assert facts(changed("ultrasound", "protocol.folds", 4))["folds"] == "4"
    softened = method(changed("histopathology", "settings.softening", 0.25))
    assert "softening 0.25" in softened and softened.count("Stage 1") == 3


def test_an_unknown_champion_is_told_with_those_that_there_are() -> None:
    with pytest.raises(LookupError, match="mri is none of the served models histopathology, mammography"):
        registry.recipe_of("mri")
    assert registry.datasets_of("mri") == ()


def test_a_modality_is_a_dicom_code_of_up_to_16_characters(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    content = read(registry.recipe_file("ultrasound"))
    for code, is_one in (("MR", True), ("A" * 16, True), ("A" * 17, False), ("mr", False), ("", False)):
        path.write_text(yaml.safe_dump({**content, "modality": code}))
        if is_one:
            assert parse(read(path), path).modality == code
        else:
            with pytest.raises(RecipeError, match=r"recipe\.yaml: modality"):
                parse(read(path), path)
