"""What a modality names exists: roles, the viewer's hanging, the report's kind, the store's model, phantoms, words."""

from __future__ import annotations

import json
import re

import pytest

from cad_platform import modalities
from cad_platform.accounts.models import Role
from cad_platform.demo.synthetic import FAMILIES
from cad_platform.modalities.modality import Modality
from cad_platform.reading import wording
from cad_platform.reading.wording import Band
from embedded.state import REPOSITORY

HANGING = REPOSITORY / "frontend" / "src" / "viewer" / "hanging.ts"
each = pytest.mark.parametrize("modality", modalities.registered(), ids=modalities.codes())


@each
def test_the_roles_exist(modality: Modality) -> None:
    assert modality.signers | modality.drafters <= set(Role.values)


@each
def test_the_viewer_carries_out_the_hanging(modality: Modality) -> None:
    table = re.search(r"const PROTOCOLS = (.*?)\n\]\);", HANGING.read_text(), re.DOTALL)
    assert table is not None
    assert modality.hanging in re.findall(r"^  \['(\w+)',", table[1], re.MULTILINE)


@each
def test_the_store_holds_the_champion(modality: Modality) -> None:
    manifests = (REPOSITORY / "model_store" / modality.champion).glob("*/manifest.json")
    read = {json.loads(path.read_text())["input"]["modality"] for path in manifests}
    assert read == {modality.code}
    assert modalities.of_champion(modality.champion) is modality


def test_no_other_model_is_a_champion() -> None:
    with pytest.raises(modalities.UnknownModality, match="tomosynthesis is no modality's champion"):
        modalities.of_champion("tomosynthesis")


def test_the_demo_draws_the_phantoms_that_modalities_name() -> None:
    named = [name for modality in modalities.registered() for name in modality.phantoms]
    assert sorted(named) == sorted(FAMILIES)


@each
def test_every_band_has_words(modality: Modality) -> None:
    points = {"high_sensitivity": 0.2, "balanced": 0.5, "high_specificity": 0.8}
    said = [wording.score(value, points, modality.code).words for value in (0.1, 0.3, 0.6, 0.9)]
    assert len(set(said)) == 4
    assert {band.name.lower() for band in Band} == set(vars(modality.bands))


@each
def test_a_label_has_the_same_words_whoever_says_it(modality: Modality) -> None:
    for label, words in modality.labels.items():
        assert wording.class_words(label) == str(words)
