"""Learning together: where it must equal learning on everybody, it does; and no patient's row leaves her site."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.challenges import federation, wire
from inference.challenges.federation import METHODS, Federation, Plan, Together, compare, optimum, sites_of
from inference.challenges.report import ChallengeError
from inference.challenges.site import Site, gradient
from inference.challenges.wire import Message
from inference.cli.main import main
from inference.datasets.generated import tree_below
from tests.inference.challenges.cohorts import made_up

#: Whole sites in one step: nothing is left to chance.
EXACT = Plan(rounds=30, epochs=1, batch=10_000, rate=0.3, decay=0.05)


def unlike_sites() -> list[tuple[np.ndarray, np.ndarray]]:
    """Three sites whose patients lie elsewhere and are ill more or less often."""
    generator = np.random.default_rng(3)
    found = []
    for where, ill, count in ((-2.0, 0.15, 60), (0.0, 0.5, 30), (2.5, 0.85, 90)):
        truth = generator.random(count) < ill
        rows = generator.normal(size=(count, 3)) * [1.0, 0.4, 2.0]
        found.append((rows + [where, -where, 0.5 * where] + truth[:, None] * [0.6, -0.3, 0.8], truth))
    return found


class Here(Together):
    """The same sites in this process."""

    def __init__(self, parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
        self._sites = [Site(rows, truth, number) for number, (rows, truth) in enumerate(parts)]

    def ask(self, message: Message) -> list[Message]:
        return [site.answer(message) for site in self._sites]


def descended(rows: np.ndarray, truth: np.ndarray, decay: float) -> np.ndarray:
    """By plain gradient descent until nothing moves."""
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    weights = np.zeros(rows.shape[1])
    for _ in range(6000):
        weights -= 0.5 * gradient(weights, rows, truth.astype(float), decay)
    return weights


def test_one_whole_step_a_round_is_gradient_descent_on_everybody() -> None:
    parts = unlike_sites()
    rows, truth = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    with Federation(parts) as together:
        middle, spread = together.common_scale()
        np.testing.assert_allclose(middle, rows.mean(axis=0))
        np.testing.assert_allclose(spread, rows.std(axis=0))
        weights = together.learn(EXACT, 3)
        controlled = together.learn(replace(EXACT, controlled=True), 3)
        assert len(set(together.processes)) == 3 and os.getpid() not in together.processes
    for parts_here in ([(rows, truth)], parts):
        here = Here(parts_here)
        here.common_scale()
        np.testing.assert_allclose(weights, here.learn(EXACT, 3), rtol=1e-9)
    np.testing.assert_allclose(controlled, weights, rtol=1e-6)


def test_scaffold_ends_at_the_common_optimum_and_fedavg_beside_it() -> None:
    """Many steps a round at unlike sites: averaging drifts (Karimireddy 2020), the pull of FedProx holds it back."""
    parts = unlike_sites()
    rows, truth = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    plan = replace(EXACT, rounds=150, epochs=15)
    together = Here(parts)
    middle, spread = together.common_scale()
    best = descended((rows - middle) / spread, truth, plan.decay)
    np.testing.assert_allclose(optimum((rows - middle) / spread, truth, plan.decay), best, atol=1e-5)
    away = {
        name: float(np.linalg.norm(together.learn(replace(plan, **more), 3) - best))
        for name, more in METHODS.items()
    }
    assert away["SCAFFOLD"] < 0.01 * np.linalg.norm(best)
    assert away["SCAFFOLD"] < away["FedProx"] < away["FedAvg"]


def test_what_leaves_a_site_is_sums_and_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, np.ndarray]] = []

    def watched(out_of: Any) -> Any:
        message = wire.receive(out_of)
        seen.append(dict(message or {}))
        return message

    monkeypatch.setattr(federation, "receive", watched)
    with Federation(unlike_sites()) as together:
        together.common_scale()
        together.learn(replace(EXACT, rounds=2, controlled=True), 3)
    shapes = {name: value.shape for message in seen for name, value in message.items()}
    assert shapes == {"count": (), "sum": (3,), "squares": (3,), "change": (4,), "control": (4,)}


def test_a_site_that_has_gone_is_named() -> None:
    with Federation(unlike_sites()) as together, pytest.raises(ChallengeError, match="site 2 has gone"):
        os.kill(together.processes[1], signal.SIGKILL)
        together.learn(EXACT, 3)


def test_learning_together_beats_each_alone_on_the_same_patients() -> None:
    asked = made_up(90, apart=0.3)
    sites = sites_of(asked, 5)
    assert len(sites) == 5
    held = [index for _, own in sites for index in own]
    assert sorted(held) == list(range(len(asked)))
    owners = [{asked.groups[i] for i in own} for _, own in sites]
    assert not any(a & b for k, a in enumerate(owners) for b in owners[k + 1 :])
    found = {one.way: one for one in compare(asked, sites, EXACT, folds=2)}
    assert found["pooled"].against_pooled.value == 0.0
    assert found["pooled"].within.value == pytest.approx(
        found["pooled"].auc.value, abs=0.1
    )  # no scanners here
    for name in METHODS:
        assert found[name].against_alone.value > 0.02
        assert abs(found[name].against_pooled.value) < 0.03


@pytest.mark.long
def test_the_command_on_made_up_ultrasound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAD_RUNS", str(tmp_path / "runs"))
    data = tree_below(tmp_path, "busi")
    arguments = ["federate", "busi", "--folds", "2", "--rounds", "2", "--data", str(data)]
    assert main([*arguments, "--sites", "2", "--out", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [row["site"] for row in told["sites"]] == ["busi a", "busi b"]
    ways = [row["way"] for row in told["ways"]]
    assert ways == [
        "FedAvg",
        "FedProx",
        "SCAFFOLD",
        "alone: busi a",
        "alone: busi b",
        "pooled",
        "sites alone, mean",
    ]
    assert main([*arguments, "--sites", "50", "--out", str(tmp_path / "out")]) == 1
    assert "has too few patients to be divided into sites" in capsys.readouterr().err
