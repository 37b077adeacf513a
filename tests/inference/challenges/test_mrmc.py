"""A reader study's analysis gives the published figures of a published study, and the same by two computations."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.challenges import mrmc
from inference.challenges.reader_scores import Study, read
from inference.challenges.report import ChallengeError
from inference.cli.main import main
from tests.inference.challenges.van_dyke import ABNORMAL, NORMAL, SCORES


def write(path: Path, rows: list[tuple[object, ...]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("reader", "modality", "case", "truth", "score"), *rows])
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(
        tmp_path / "van_dyke.csv",
        [
            (reader, modality, number, int(number >= NORMAL), score)
            for (reader, modality), scores in SCORES.items()
            for number, score in enumerate(scores)
        ],
    )


@pytest.fixture
def study(table: Path) -> Study:
    found = read(table)
    assert found.scores.shape == (2, 5, NORMAL + ABNORMAL)
    return found


def test_aucs_and_components_are_the_published_ones(study: Study) -> None:
    own = mrmc.components(study)
    published = [
        [0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
        [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169],
    ]
    np.testing.assert_allclose(own.auc, published, atol=5e-9)
    components = (own.variance, own.cov1, own.cov2, own.cov3)
    np.testing.assert_allclose(components, (0.00080229, 0.00034661, 0.00034407, 0.00023903), atol=5e-9)
    assert own.between_modalities == pytest.approx(0.00479617, abs=5e-9)
    assert own.interaction == pytest.approx(0.00055103, abs=5e-9)


@pytest.mark.parametrize(
    ("number", "f", "freedom", "p", "error", "low", "high"),
    [
        (0, 4.46, 15.26, 0.0517, 0.02075, -0.08796, 0.00036),
        (1, 5.48, np.inf, 0.0193, 0.01872, -0.08049, -0.00711),
        (2, 8.70, 4.00, 0.0420, 0.01485, -0.08502, -0.00258),
    ],
)
def test_the_three_tests_are_the_published_ones(
    study: Study, number: int, f: float, freedom: float, p: float, error: float, low: float, high: float
) -> None:
    test = mrmc.tests(mrmc.components(study))[number]
    assert (round(test.f, 2), round(test.freedom, 2), round(test.p, 4)) == (f, freedom, p)
    (difference,) = test.differences
    figure = difference.figure
    assert (round(difference.error, 5), round(figure.low, 5), round(figure.high, 5)) == (error, low, high)
    assert round(figure.value, 5) == -0.0438 and round(difference.p, 4) == p


def test_a_modality_alone_has_the_published_interval(study: Study) -> None:
    spin_echo, cine = mrmc.alone(study, 0), mrmc.alone(study, 1)
    assert (round(spin_echo.low, 6), round(spin_echo.high, 6)) == (0.825224, 0.96885)
    assert (round(cine.low, 6), round(cine.high, 6)) == (0.894138, 0.987537)


def test_pseudovalues_give_the_same_f_by_another_computation(study: Study) -> None:
    found = mrmc.tests(mrmc.components(study))[0]
    assert mrmc.of_pseudovalues(study) == pytest.approx((found.f, found.freedom), rel=1e-9)


def test_delongs_covariances_are_near_the_jackknifes(study: Study) -> None:
    ours, theirs = mrmc.components(study), mrmc.components(study, jackknife=False)
    assert theirs.variance == pytest.approx(ours.variance, rel=0.03)
    assert theirs.cov3 == pytest.approx(ours.cov3, rel=0.03)


def test_equal_modalities_are_rejected_one_time_in_twenty() -> None:
    rejected = sum(
        mrmc.tests(mrmc.components(_simulated(seed, gap=0.0), jackknife=False))[0].p < 0.05
        for seed in range(60)
    )
    assert rejected <= 10  # of 60; more would happen three times in ten thousand where the level holds
    found = [
        mrmc.tests(mrmc.components(_simulated(seed, gap=1.0), jackknife=False))[0].p for seed in range(10)
    ]
    assert sum(p < 0.05 for p in found) >= 9


def _simulated(seed: int, *, gap: float) -> Study:
    """Roe and Metz's way (1997): reader, case, their interactions with modality, and chance; `gap` adds to what the
    second modality shows of positive cases."""
    generator = np.random.default_rng(seed)
    modalities, readers, cases = 2, 5, 80
    truth = np.arange(cases) % 2 == 1

    def normal(spread: float, *shape: int) -> np.ndarray:
        return spread * generator.normal(size=shape)

    shift = 1.0 + gap * np.arange(modalities)[:, None, None] + normal(0.1, 1, readers, 1)
    scores = normal(0.55, 1, 1, cases) + normal(0.45, 1, readers, cases) + normal(0.55, modalities, 1, cases)
    return Study(
        ("a", "b"), tuple("12345"), truth,
        scores + normal(0.45, modalities, readers, cases) + truth * (shift + normal(0.1, modalities, readers, 1)),
    )  # fmt: skip


def test_the_command_reports_each_reader(table: Path, tmp_path: Path) -> None:
    assert main(["mrmc", "--scores", str(table), "--out", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [row["reader"] for row in told["readers"]] == [f"reader {number}" for number in range(1, 6)]
    assert round(told["tests"][0]["p"], 4) == 0.0517 and told["tests"][1]["df of the error"] is None
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| reader 4 | 0.973 [" in page


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            ("reader 1", "SE MRI", 0, 0, 3),
            "line 1142: reader reader 1 reads case 0 with SE MRI a second time",
        ),
        (("reader 6", "SE MRI", 0, 1, 3), "case 0 has another truth than before"),
        (("reader 6", "SE MRI", 0, 0, 3), "reader reader 6 has not read case 1 with SE MRI"),
        (("reader 6", "SE MRI", 0, 0, "high"), "the score 'high' is no number"),
        (("reader 6", "SE MRI", 0, "perhaps", 1), "the truth 'perhaps' is neither 1 nor 0"),
        (("reader 6", "", 0, 0, 1), "line 1142: no modality"),
    ],
)
def test_a_table_that_is_not_complete_is_refused_in_a_sentence(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: tuple[object, ...], sentence: str
) -> None:
    with table.open("a", newline="") as file:
        csv.writer(file).writerow(row)
    assert main(["mrmc", "--scores", str(table), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert sentence in said and "van_dyke.csv" in said


def test_one_modality_or_one_reader_is_no_comparison(study: Study) -> None:
    alone = replace(study, readers=study.readers[:1], scores=study.scores[:, :1])
    with pytest.raises(ChallengeError, match="two of each"):
        mrmc.tests(mrmc.components(alone))
