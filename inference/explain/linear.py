"""Exact attributions of a linear head: what each feature adds to a case's log-odds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from inference.explain.network import NoSuchExplanation

Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Contributions:
    """`added` N×F: what each feature adds to the log-odds, against the mean case; `base`: the log-odds of the
    mean case. A row's sum and the base are its log-odds exactly: no sampling, as SHAP needs, is involved."""

    features: tuple[str, ...]
    added: Rows
    base: float

    @property
    def log_odds(self) -> Rows:
        return np.asarray(self.added.sum(axis=1) + self.base)

    def strongest(self, row: int, most: int = 5) -> list[tuple[str, float]]:
        """The features that move one case most, by absolute value."""
        order = np.argsort(-np.abs(self.added[row]), kind="stable")[:most]
        return [(self.features[index], float(self.added[row, index])) for index in order]


def contributions(
    coefficients: Rows, intercept: float, centre: Rows, spread: Rows, rows: Rows, features: Sequence[str]
) -> Contributions:
    """Of log-odds `coefficients · (row − centre) / spread + intercept`; all of length F, `rows` N×F."""
    standard = (rows - centre) / spread
    return Contributions(tuple(features), np.asarray(standard * coefficients), float(intercept))


def of_estimator(
    estimator: LogisticRegression | Pipeline, rows: Rows, features: Sequence[str], mean: Rows | None = None
) -> Contributions:
    """Of a fitted two-class logistic regression, alone or after a standard scaler (whose means are the mean
    case; for a bare one `mean`, or zero).

    Raises
    ------
    NoSuchExplanation
        Another kind of estimator, or more than two classes.
    """
    steps = [step for _, step in estimator.steps] if isinstance(estimator, Pipeline) else [estimator]
    head = steps[-1]
    scaler = steps[0] if len(steps) == 2 else None
    known = isinstance(head, LogisticRegression) and (len(steps) == 1 or isinstance(scaler, StandardScaler))
    if not known or head.coef_.shape[0] != 1:
        raise NoSuchExplanation("exact attributions need a logistic regression of two classes, scaled or not")
    weights, intercept = head.coef_[0], float(head.intercept_[0])
    count = rows.shape[1]
    if scaler is not None:
        centre = scaler.mean_ if scaler.with_mean else np.zeros(count)
        spread = scaler.scale_ if scaler.with_std else np.ones(count)
        return contributions(weights, intercept, centre, spread, rows, features)
    centre = np.zeros(count) if mean is None else mean
    base = intercept + float(weights @ centre)
    return contributions(weights, base, centre, np.ones(count), rows, features)
