"""A linear probe on frozen rows: features brought to one scale, then logistic regression."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from inference.challenges.embeddings import Rows

Booleans = NDArray[np.bool_]
#: Of 1280 features of some hundred images: strong, chosen before any figure was read and the same everywhere.
REGULARISATION = 0.01


@dataclass(frozen=True)
class Scale:
    """Mean and spread of each feature; learned from images alone, never from their labels."""

    middle: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Rows) -> Scale:
        return cls(rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6))

    def __call__(self, rows: Rows) -> Rows:
        return (rows - self.middle) / self.spread


def probabilities(rows: Rows, truth: Booleans, asked: Rows, regularisation: float = REGULARISATION) -> Rows:
    """Learn from scaled `rows` N×C and their truth, answer for `asked` M×C: M probabilities of the positive class."""
    model = LogisticRegression(C=regularisation, class_weight="balanced", max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 300 steps order the images as a thousand do
        model.fit(rows, truth)
    return np.asarray(model.predict_proba(asked)[:, 1], np.float64)
