"""Fusing what is there: near the best that can be had, never beyond it, and no source believed twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inference.challenges import fusion
from inference.cli.main import main
from inference.datasets.generated import tree_below
from inference.evaluation.bootstrap import draw_counts


def test_every_subset_comes_near_the_best_and_none_exceeds_it() -> None:
    asked, best = fusion.generated(900)
    counts = draw_counts(asked.groups, [str(true) for true in asked.truth])[:200]
    found = fusion.fuse(asked, counts, folds=3, best=best)
    assert len(found) == 16 and found[0].sources == ()
    for one in found[1:]:
        assert one.best is not None
        assert one.fused.low < one.best + 0.005, one
        assert one.best - one.fused.value < 0.035, one
    assert found[-1].fused.value > max(one.fused.value for one in found[1:5]) + 0.05


def test_the_best_possible_is_what_the_true_direction_reaches() -> None:
    asked, best = fusion.generated(20_000, seed=1)
    # the clinical facts depend on no other source, so that the sum of their numbers is Bayes' rule for them
    score = asked.rows["clinical"].sum(axis=1)
    ranks = score.argsort().argsort()
    positives = asked.truth.sum()
    won = ranks[asked.truth].sum() - positives * (positives - 1) / 2
    assert won / (positives * (~asked.truth).sum()) == pytest.approx(best[(2,)], abs=0.01)


def test_two_sources_that_say_the_same_are_not_believed_twice() -> None:
    generator = np.random.default_rng(0)
    truth = np.arange(600) % 2 == 1
    first, second = (generator.normal(size=(600, 1)) + 0.8 * truth[:, None] for _ in range(2))
    rows = {"one": first, "its copy": first + 0.01 * generator.normal(size=first.shape), "another": second}
    rows["a third copy"] = first.copy()
    asked = fusion.Sources(rows, truth, tuple(map(str, range(600))), dict.fromkeys(rows, 1.0))
    counts = draw_counts(asked.groups, [str(true) for true in truth])[:300]
    found = {one.sources: one for one in fusion.fuse(asked, counts, folds=3)}
    everything = found["one", "its copy", "another", "a third copy"]
    assert everything.gain.low > 0  # three votes of one source outweigh the other where log-odds are added
    assert everything.fused.value == pytest.approx(found["one", "another"].fused.value, abs=0.01)


@pytest.mark.long
def test_the_command_on_made_up_ultrasound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAD_RUNS", str(tmp_path / "runs"))
    data = tree_below(tmp_path, "busbra")
    arguments = ["fuse", "busbra", "--folds", "2", "--data", str(data), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(told["subsets"]) == 8 and told["subsets"][0]["sources"] == "nothing"
