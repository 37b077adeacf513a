"""What speaks of a film's abnormality, by the calibration of a version, and when an answer is uncertain."""

from __future__ import annotations

import numpy as np
import pytest

from inference.champions.mammography import gate
from inference.contract import Flag
from inference.runtime.calibration import Platt
from inference.runtime.mammography.pipeline import conformal_levels, logit_of, told_of
from inference.runtime.store import DEFAULT_STORE, read_manifest
from inference.runtime.study import undecided

MARKS = {"mark_peak": 0.3, "mark_present": 1.4, "mark_offset": -1.1}


def output(film: float = 0.0, mass: float = -3.0, cluster: float = 0.0) -> dict[str, np.ndarray]:
    candidates = np.full((1, 6, 5), -5.0, np.float32)
    candidates[0, 4, 3] = mass
    return {
        "abnormality": np.array([film], np.float32),
        "candidates": candidates,
        "cluster": np.array([cluster], np.float32),
    }


@pytest.fixture(scope="module")
def spoken() -> dict[str, float]:
    """A gate of 300 made-up films: each kind of lesion is told by one speaker alone."""
    generator = np.random.default_rng(0)
    told = generator.normal(0, 1, (300, 3))
    abnormal = np.arange(300) % 2 == 0
    for row in np.flatnonzero(abnormal):
        told[row, row // 2 % 3] += 3.0
    return {**MARKS, **gate.fit(told, abnormal)}


def test_a_version_before_the_gate_hears_the_film_reader_alone() -> None:
    calibration = read_manifest("mammography", DEFAULT_STORE, "2.2.0").calibration
    platt = Platt(calibration["abnormal_slope"], calibration["abnormal_offset"])
    for film in (-3.0, 0.0, 4.0):
        told = told_of(output(film, mass=9.0, cluster=9.0), calibration)
        assert told == {"abnormality": film}
        assert 1 / (1 + np.exp(-logit_of(told, calibration))) == pytest.approx(platt(film))
    assert len(set(conformal_levels(calibration))) == 1


@pytest.mark.parametrize("speaks", ["film", "mass", "cluster"])
def test_each_of_them_alone_makes_a_film_more_suspicious(spoken: dict[str, float], speaks: str) -> None:
    said = [logit_of(told_of(output(**{speaks: value}), spoken), spoken) for value in (0.0, 1.5, 4.0)]
    assert said[0] < said[1] < said[2]


def test_a_quiet_speck_network_says_nothing_and_a_loud_one_not_everything(spoken: dict[str, float]) -> None:
    logits = [logit_of(told_of(output(cluster=value), spoken), spoken) for value in (-9.0, -5.0, 8.0, 500.0)]
    assert logits[0] == logits[1] and logits[2] == logits[3] > logits[1]


def test_serving_says_what_was_fitted(spoken: dict[str, float]) -> None:
    one = output(0.4, mass=1.0, cluster=2.0)
    told = np.array([[0.4, gate.likeliest_mass(one, MARKS), 2.0]])
    served = logit_of(told_of(one, spoken), spoken)
    assert gate.chances(spoken, told)[0] == pytest.approx(1 / (1 + np.exp(-served)), abs=1e-6)


def test_no_speaker_ever_speaks_against_what_it_looks_for() -> None:
    generator = np.random.default_rng(1)
    told = generator.normal(0, 1, (200, 3))
    abnormal = told[:, 0] - told[:, 1] > 0  # the mass is misleading here
    assert min(gate.fit(told, abnormal)[name] for name in ("abnormal_slope", "abnormal_mass")) > 0


def test_a_class_may_have_a_level_of_its_own() -> None:
    classes = ("normal", "abnormal")
    assert undecided({"normal": 0.7, "abnormal": 0.3}, classes, (0.5, 0.25)) == [Flag.UNCERTAIN]
    assert undecided({"normal": 0.8, "abnormal": 0.2}, classes, (0.5, 0.25)) == []
    assert undecided({"normal": 0.7, "abnormal": 0.3}, classes, 0.5) == []
