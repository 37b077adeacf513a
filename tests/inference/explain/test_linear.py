"""Exact attributions of logistic heads, and the checks of a section's heat map."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inference.evaluation.records import Record
from inference.explain.linear import of_estimator
from inference.explain.network import NoSuchExplanation
from inference.explain.tissue import area_under_roc, rows_pointed

FEATURES = ("area", "roundness", "contrast")


def rows(number: int = 60) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    values = generator.normal((300, 0.5, 20), (90, 0.1, 5), (number, 3))
    return values, values[:, 0] + generator.normal(0, 40, number) > 300


@pytest.mark.parametrize("scaled", [True, False])
def test_what_features_add_sums_to_the_log_odds_exactly(scaled: bool) -> None:
    values, labels = rows()
    head = LogisticRegression(max_iter=5000)
    estimator = make_pipeline(StandardScaler(), head) if scaled else head
    estimator.fit(values, labels)
    found = of_estimator(estimator, values, FEATURES, mean=values.mean(axis=0))
    assert found.log_odds == pytest.approx(estimator.decision_function(values), abs=1e-9)
    case = int(np.argmax(np.abs(values[:, 0] - 300)))
    assert found.strongest(case, 1)[0][0] == "area"
    assert np.abs(found.added.mean(axis=0)).max() < 1e-9  # the mean case is the base


def test_other_heads_have_no_exact_attributions() -> None:
    values, labels = rows()
    forest = RandomForestClassifier(5, random_state=0).fit(values, labels)
    with pytest.raises(NoSuchExplanation, match="logistic regression"):
        of_estimator(forest, values, FEATURES)


def field(row: int, column: int, label: str, chance: float) -> Record:
    return Record(
        "idc_mosaic", f"{row},{column}", f"row {row}", label, {"idc": chance, "not_idc": 1 - chance}
    )


def test_the_hottest_field_of_a_row_should_be_carcinoma() -> None:
    fields = [
        field(0, 0, "idc", 0.9), field(0, 1, "not_idc", 0.2), field(0, 2, "not_idc", 0.3),
        field(1, 0, "idc", 0.4), field(1, 1, "not_idc", 0.4),
        field(2, 0, "not_idc", 0.99),
    ]  # fmt: skip
    outcomes = rows_pointed(fields, "idc")
    assert [(one.value, round(one.chance, 3)) for one in outcomes] == [(1.0, 0.333), (0.5, 0.5)]
    found = area_under_roc(fields[:5], "idc")
    assert found.value == pytest.approx((3 + 2.5) / 6, abs=1e-4) and found.images == 5
