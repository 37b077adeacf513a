"""Searches of settings: what they find, how often they ask, and a design table that is uniform."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import numpy as np
import pytest

from inference.blocks.parameters import BlockError, make
from inference.blocks.registry import build
from inference.blocks.search import Settings, uniform_table
from inference.blocks.swarm import Method

SWARMS = get_args(Method)
AXES: dict[str, tuple[Any, ...]] = {
    "rate": (0.1, 0.2, 0.3, 0.4, 0.5), "width": (4, 8, 16, 32), "optimiser": ("adamw", "sgd"),
}  # fmt: skip


class Hill:
    """A score with one peak, which counts how often it is asked for what."""

    def __init__(self) -> None:
        self.asked: list[Settings] = []

    def __call__(self, settings: Settings) -> float:
        self.asked.append(settings)
        rate, width = settings["rate"], np.log2(settings["width"])
        return -((rate - 0.4) ** 2) - 0.01 * (width - 3) ** 2 + 0.02 * (settings["optimiser"] == "sgd")


@pytest.mark.parametrize("name", SWARMS)
def test_a_swarm_comes_near_the_peak_and_asks_for_a_setting_once(name: str) -> None:
    hill = Hill()

    found = build("search", name, agents=8, iterations=8)(AXES, hill, 0)

    every = [dict(zip(AXES, values, strict=True)) for values in product(*AXES.values())]
    assert found in sorted(every, key=Hill(), reverse=True)[:4]
    assert len({tuple(one.items()) for one in hill.asked}) == len(hill.asked) < 5 * 4 * 2 + 1


@pytest.mark.parametrize("name", (*SWARMS, "uniform_design", "tpe"))
def test_a_search_is_deterministic_by_seed(name: str) -> None:
    first, second = Hill(), Hill()
    settings = {"uniform_design": {"runs": 5}, "tpe": {"budget": 9}}.get(name, {"agents": 3, "iterations": 2})
    for hill in (first, second):
        build("search", name, **settings)(AXES, hill, 4)

    assert first.asked == second.asked


def test_a_tree_of_parzen_estimators_climbs_better_than_chance_and_keeps_to_its_budget() -> None:
    reached: dict[str, list[float]] = {"tpe": [], "random": []}
    for seed in range(20):
        for name, heights in reached.items():
            hill = Hill()
            found = build("search", name, budget=14)(AXES, hill, seed)
            assert len({tuple(one.items()) for one in hill.asked}) == len(hill.asked) == 14
            heights.append(Hill()(found))
    assert np.mean(reached["tpe"]) > np.mean(reached["random"])
    hill = Hill()  # a budget above all that there is asks for all, and ends
    best = build("search", "tpe", budget=99)(AXES, hill, 0)
    assert len(hill.asked) == 40 and best == {"rate": 0.4, "width": 8, "optimiser": "sgd"}


def test_a_tree_of_parzen_estimators_takes_axes_of_one_value_and_says_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    axes: dict[str, tuple[Any, ...]] = {"batch": (8,), "pretrained": (False, True), "loss": ("focal",)}

    best = build("search", "tpe")(axes, lambda settings: float(settings["pretrained"]), 0)

    assert best == {"batch": 8, "pretrained": True, "loss": "focal"}
    assert capfd.readouterr() == ("", "")


def test_a_uniform_design_confirms_the_maximum_of_the_fitted_surface() -> None:
    hill = Hill()

    found = build("search", "uniform_design", runs=12)(AXES, hill, 0)

    assert len(hill.asked) <= 13
    assert found == {"rate": 0.4, "width": 8, "optimiser": "sgd"}


def test_a_uniform_table_has_every_level_once_and_is_more_even_than_chance() -> None:
    from scipy.stats.qmc import discrepancy

    table = uniform_table(12, 4)
    chance = [
        np.stack([np.random.default_rng(seed + 9 * column).permutation(12) for column in range(4)], axis=1)
        for seed in range(20)
    ]

    for column in table.T:
        assert np.array_equal(np.sort(np.round(column * 12 - 0.5)), np.arange(12))
    assert discrepancy(table) < np.median([discrepancy((rows + 0.5) / 12) for rows in chance])


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("uniform_design", {"runs": 1}, "a surface is not fitted to 1 runs"),
        ("genetic", {"agents": 0}, "genetic: agents: Input should be greater than or equal to 1, not 0"),
        ("tpe", {"budget": 3}, "a budget of 3 after a start of 4 searches nothing"),
    ],
)
def test_a_search_that_searches_nothing_is_refused(
    name: str, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BlockError, match=sentence):
        make("search", name, settings)
