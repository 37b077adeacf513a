"""Cases nested in readers: the published figures of that design, its level, and what is no such table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from inference.challenges import mrmc
from inference.challenges.reader_scores import COLUMNS, NestedStudy, read_nested
from inference.challenges.report import ChallengeError
from inference.cli.main import main
from tests.inference.challenges.null_studies import rejected
from tests.inference.challenges.van_dyke import NORMAL, SCORES

Row = tuple[object, ...]


def write(path: Path, rows: list[Row]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


def van_dyke() -> list[Row]:
    """Its readings as if each reader had read other patients: how Hillis 2014 tells the designs apart."""
    return [
        (reader, modality, f"{reader}, {number}", int(number >= NORMAL), score)
        for (reader, modality), scores in SCORES.items()
        for number, score in enumerate(scores)
    ]


def test_the_tests_are_those_of_the_published_mean_squares(tmp_path: Path) -> None:
    study = read_nested(write(tmp_path / "nested.csv", van_dyke()))
    own = mrmc.components(study)
    assert (own.cov2, own.cov3) == (0, 0)
    np.testing.assert_allclose((own.variance, own.cov1), (0.00080229, 0.00034661), atol=5e-9)
    random, fixed, _ = mrmc.tests(own)
    # MS(T) 0.00479617 and MS(TR) 0.00055103, published: F(1, 4) = 8.70, p 0.0420, -0.0438 [-0.0850, -0.0026].
    assert (round(random.f, 2), random.freedom, round(random.p, 4)) == (8.70, 4.0, 0.0420)
    figure = random.differences[0].figure
    assert [round(value, 5) for value in (figure.value, figure.low, figure.high)] == [
        -0.0438,
        -0.08502,
        -0.00258,
    ]
    assert fixed.f == pytest.approx(0.00479617 / (0.00080229 - 0.00034661), rel=1e-4)


def test_the_command_says_what_design_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "nested.csv", van_dyke())
    assert main(["mrmc", "--nested", "--scores", str(table), "--out", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "nested in readers" in told["settings"]["design"] and told["settings"]["cases"] == 570
    assert [row["speaks of"] for row in told["tests"]] == ["readers and cases", "cases, these readers"]
    assert main(["mrmc", "--scores", str(table), "--out", str(tmp_path / "out")]) == 1, "it is not guessed"
    assert "each case has one reader: such cases are nested in readers" in capsys.readouterr().err


def test_readers_who_come_out_alike_by_luck_have_an_interval_within_what_an_area_can_be() -> None:
    truth = np.array([False] * 5 + [True] * 5)
    scores = np.array([[1, 2, 2, 3, 4, 2, 3, 4, 6, 7], [1, 2, 4, 5, 6, 3, 7, 8, 9, 9]], float)
    study = NestedStudy(("BI-RADS", "model"), ("1", "2", "3"), (truth,) * 3, (scores, scores, scores[::-1]))
    assert mrmc.components(study).auc.max() < 1
    same = NestedStudy(study.modalities, ("1", "2"), (truth,) * 2, (scores, scores))
    for found in (study, same):
        for place in range(2):
            figure = mrmc.alone(found, place)
            assert 0 <= figure.low < figure.value - 0.1 and figure.value + 0.1 < figure.high <= 1
    (difference,) = mrmc.tests(mrmc.components(study))[0].differences
    assert -1 <= difference.figure.low < difference.figure.high <= 1


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("reader 2", "SE MRI", "reader 1, 0", 0, 3), "is read by reader 1 and by reader 2"),
        (("reader 1", "SE MRI", "another", 0, 3), "reader 1 has not read case another with cine MRI"),
        (("reader 9", "SE MRI", "another", 0, 3), "reader 9 has not read case another with cine MRI"),
    ],
)
def test_what_is_not_nested_is_refused(tmp_path: Path, row: Row, sentence: str) -> None:
    with pytest.raises(ChallengeError, match=sentence):
        read_nested(write(tmp_path / "nested.csv", [*van_dyke(), row]))


def test_a_reader_with_one_case_of_a_class_is_refused(tmp_path: Path) -> None:
    few = [
        ("reader 9", modality, f"9, {n}", int(n == 0), n)
        for modality in ("SE MRI", "cine MRI")
        for n in range(9)
    ]
    with pytest.raises(ChallengeError, match="reader 9 has fewer than two cases of a class"):
        read_nested(write(tmp_path / "nested.csv", [*van_dyke(), *few]))


def test_readers_no_better_than_a_model_are_called_different_one_time_in_twenty() -> None:
    assert (
        rejected(0.0, 200) <= 20
    )  # of 200; 21 or more would happen once in a thousand where the level holds
    assert rejected(1.2, 20) >= 16
