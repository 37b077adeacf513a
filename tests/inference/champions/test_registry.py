"""The served models are found by their folders, and their recipes say what nobody else says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from inference.champions import registry
from inference.champions.recipe import parse
from inference.datasets.catalogue import DATASETS
from inference.evaluation.account import read_account
from inference.recipes.recipe_file import read
from inference.recipes.schema import RecipeError
from inference.runtime import pipelines
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
def test_the_card_names_the_digest_of_the_recipe_as_it_stands(name: str) -> None:
    account = read_account(version_folder(read_manifest(name)))
    assert account.recipe_sha256 == registry.recipe_of(name).hash


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
