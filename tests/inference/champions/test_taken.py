"""A network that is taken over from a version of the store says what that version's weights say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from inference.blocks.networks.efficientnet import EfficientNetLite
from inference.blocks.networks.specks import SpeckNetwork
from inference.champions import registry
from inference.champions.mammography import clusters, films
from inference.champions.mammography.network import FilmReader, MammogramNetwork
from inference.champions.mammography.taken import mass_network
from inference.champions.method import method
from inference.champions.plan import Plan, PlanError
from inference.champions.recipe import ChampionRecipe, Taken, parse
from inference.datasets.generated import write
from inference.datasets.sample import Sample
from inference.recipes.recipe_file import read
from inference.runtime.answer import read_answer, seeded_input
from inference.runtime.mammography.preprocessing import VIEW_SCALE
from inference.runtime.store import DEFAULT_STORE, read_manifest


def recipe(*variants: str) -> ChampionRecipe:
    path = registry.recipe_file("mammography")
    return parse(read(path, variants), path)


def plan(made: ChampionRecipe, folder: Path) -> Plan:
    return Plan(folder, folder / "run", DEFAULT_STORE, "9.9.9", made)


def test_it_answers_as_the_version_that_it_was_taken_from(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    mass = mass_network(plan(recipe("taken"), tmp_path), []).thing
    network = MammogramNetwork(mass, FilmReader(EfficientNetLite(0)), SpeckNetwork()).eval()
    recorded = read_answer(read_manifest("mammography", DEFAULT_STORE, "2.2.0"), DEFAULT_STORE).answers[0]
    given = torch.from_numpy(seeded_input(recorded.input_shape, 0)).float()
    with torch.no_grad():
        said = network._both_ways(F.avg_pool2d(given, VIEW_SCALE))
    for name, values in (("outline", said.outline), ("place", said.malignancy), ("distance", said.distance)):
        expected = np.array(recorded.outputs[name].values)
        flat = values.numpy().reshape(-1)
        found = flat[np.arange(len(expected)) * flat.size // len(expected)]
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_another_network_under_that_version_is_refused(tmp_path: Path) -> None:
    other = recipe("taken").model_copy(
        update={"taken": {"masses": Taken(version="2.2.0", weights_sha256="0" * 64)}}
    )
    with pytest.raises(PlanError, match=r"mammography 2\.2\.0 of the store is not the one"):
        mass_network(plan(other, tmp_path), [])


def test_whom_it_saw_is_whom_that_version_was_fitted_to(tmp_path: Path) -> None:
    one = Sample("a", "cbis_mass_256", "mammography", tmp_path, "woman", "benign", False)
    stamp = mass_network(plan(recipe("taken"), tmp_path), [one, replace(one, id="b", group_id="other")]).stamp
    assert "2.2.0" in stamp.step and len(stamp.seen) >= 2


def test_the_card_says_that_it_was_not_trained_anew() -> None:
    assert "The network masses was not trained anew: it is that of version 2.2.0" in method(recipe("taken"))
    assert "trained anew" not in method(recipe())


def test_a_recipe_that_takes_nothing_keeps_its_digest() -> None:
    assert '"taken"' not in recipe().canonical and '"taken"' in recipe("taken").canonical
    assert recipe().hash != recipe("taken").hash


def test_clusters_are_learned_from_normal_films_alone_and_kept(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    write("mini_mias", tmp_path / "mini_mias")
    shown = list(films.read(tmp_path).samples)
    taught = plan(recipe("quick"), tmp_path)
    learned = clusters.train(taught, shown, tmp_path / "run")
    normal = {sample.group_id for sample in shown if not sample.label_binary}
    assert len(learned.stamp.seen) <= 2 * len(normal)
    again = clusters.train(taught, shown, tmp_path / "run").thing
    for ours, theirs in zip(learned.thing.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0)
    canvas = np.zeros((1152, 768), np.uint8)
    canvas[:900, :400] = 90
    assert np.isfinite(clusters.score(again, [canvas])).all()
