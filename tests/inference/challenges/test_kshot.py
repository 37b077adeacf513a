"""Learning curves: more patients help where there is something to learn, and nothing helps where there is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inference.challenges.kshot import drawn, learning_curve
from inference.challenges.report import ChallengeError
from inference.cli.main import main
from inference.datasets.generated import tree_below
from tests.inference.challenges.cohorts import made_up


def test_more_labelled_patients_help_and_all_are_short_of_nothing() -> None:
    one, twenty, everything = learning_curve(made_up(100, apart=0.3), (1, 20), draws=6, folds=2)
    assert one.auc.value < twenty.auc.value < everything.auc.value
    assert one.short_of_all.high < 0 and everything.short_of_all.value == 0.0
    assert all(p.auc.low < p.auc.value < p.auc.high for p in (one, twenty, everything))
    assert one.luck[1] - one.luck[0] > twenty.luck[1] - twenty.luck[0]


def test_nothing_is_learned_where_classes_are_alike() -> None:
    *_, everything = learning_curve(made_up(100, apart=0.0), (5,), draws=2, folds=2)
    assert everything.auc.low < 0.5 < everything.auc.high


def test_of_a_patient_drawn_for_a_class_only_that_class_is_learned_from() -> None:
    asked = made_up(40, apart=1.0)
    train = np.arange(0, len(asked), 2)
    chosen = drawn(asked, train, 3, np.random.default_rng(0))
    assert set(chosen) <= set(train.tolist())
    for side in (False, True):
        assert len({asked.groups[i] for i in chosen if asked.truth[i] == side}) == 3


def test_too_few_patients_are_a_sentence() -> None:
    with pytest.raises(ChallengeError, match="too few"):
        learning_curve(made_up(12, apart=1.0), (50,), draws=2, folds=2)


def test_the_command_writes_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAD_RUNS", str(tmp_path / "runs"))
    data = tree_below(tmp_path, "busi")
    arguments = ["kshot", "busi", "--shots", "1", "--draws", "2", "--folds", "2", "--data", str(data)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [point["patients a class"] for point in told["points"]] == ["1", "all"]
    assert told["settings"]["images"] == 12
    assert (tmp_path / "out" / "report.md").read_text() in capsys.readouterr().out
    assert (tmp_path / "out" / "learning_curve.svg").read_text().startswith("<svg")
    kept = list((tmp_path / "runs" / "embeddings").glob("*.npz"))
    assert len(kept) == 1  # the second time nothing is looked at again
    before = kept[0].stat().st_mtime_ns
    assert main([*arguments, "--out", str(tmp_path / "again")]) == 0
    assert kept[0].stat().st_mtime_ns == before
    again = json.loads((tmp_path / "again" / "report.json").read_text())
    assert again["points"] == told["points"]


def test_a_set_that_is_not_known_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kshot", "nothing", "--out", str(tmp_path), "--data", str(tmp_path)]) == 1
    assert "nothing is no set that is known" in capsys.readouterr().err
