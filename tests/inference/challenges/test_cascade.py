"""A cascade's ends are its two networks; its threshold is nobody's whom it judges."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.challenges import cascade
from inference.challenges.cohort import Cohort
from inference.challenges.embeddings import multiply_adds
from inference.cli.main import main
from inference.datasets.generated import tree_below
from tests.inference.challenges.cohorts import made_up


@pytest.fixture(scope="module")
def pair() -> tuple[Cohort, Cohort]:
    large = made_up(100, apart=0.35)
    noise = np.random.default_rng(1).normal(size=large.rows.shape)
    return replace(large, rows=large.rows + 1.5 * noise), large


def test_the_ends_are_the_two_networks_and_the_way_between_costs_more_and_more(
    pair: tuple[Cohort, Cohort],
) -> None:
    points = cascade.curve(*pair, (10_000_000, 50_000_000), folds=3)
    by_share = {point.wanted: point for point in points}
    assert by_share[0.0].millions == 10.0 and by_share[1.0].millions == 60.0
    assert by_share[1.0].auc.value > by_share[0.0].auc.value + 0.03
    assert by_share[1.0].against_large.value == 0.0 and by_share[0.0].against_large.high < 0
    went_on = [by_share[share].went_on for share in cascade.SHARES]
    assert went_on == sorted(went_on)
    assert all(abs(by_share[share].went_on - share) < 0.12 for share in cascade.SHARES)
    chosen = by_share[None]
    assert 0 < chosen.went_on <= 1 and chosen.against_large.value > -0.05


def test_held_out_patients_have_no_part_in_the_threshold(
    pair: tuple[Cohort, Cohort], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same folds with the truth of the first one's held-out patients turned round: its threshold stays."""
    seen: list[float] = []
    choose = cascade.choose

    def watched(*given: Any) -> float:
        seen.append(choose(*given))
        return seen[-1]

    monkeypatch.setattr(cascade, "choose", watched)
    pairs = pair[0].folds(3, 0)
    monkeypatch.setattr(Cohort, "folds", lambda *_: [pairs[0], (pairs[0][0], pairs[1][1])])
    turned = pair[0].truth.copy()
    turned[pairs[0][1]] = ~turned[pairs[0][1]]
    cascade.curve(*pair, (1, 2), folds=3)
    small, large = (replace(own, truth=turned) for own in pair)
    cascade.curve(small, large, (1, 2), folds=3)
    assert seen[0] == seen[2]


def test_the_lowest_threshold_within_the_tolerance_is_chosen() -> None:
    truth = np.array([False, True, False, True])
    large = np.array([0.1, 0.9, 0.2, 0.8])
    small = np.array([0.1, 0.9, 0.55, 0.45])  # wrong of the two cases that it is unsure of
    assert cascade.choose(truth, (small, large), [0.0, 0.06, 0.45, 1.0]) == 0.06
    assert cascade.choose(truth, (large, large), [0.0, 0.06, 1.0]) == 0.0


def test_arithmetic_is_counted_as_on_paper() -> None:
    from torch import nn

    grouped = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3), nn.Conv2d(6, 4, 1))
    assert multiply_adds(grouped, 32) == 16 * 16 * (6 * 9 + 4 * 6)


@pytest.mark.long
def test_the_command_on_made_up_ultrasound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAD_RUNS", str(tmp_path / "runs"))
    data = tree_below(tmp_path, "busi")
    arguments = ["cascade", "busi", "--folds", "2", "--data", str(data), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--small", "effnet_lite0:32", "--large", "effnet_lite0:64"]) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [row["wanted to go on"] for row in told["points"]][-1] == "chosen in training folds"
    assert main([*arguments, "--small", "resnet:96"]) == 1
    assert "a network is written as effnet_lite0:96" in capsys.readouterr().err
