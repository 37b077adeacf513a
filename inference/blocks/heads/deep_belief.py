"""A deep belief network ([44]): layers learn one by one without labels, then all of them with labels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import BernoulliRBM, MLPClassifier

from inference.blocks.learned import NotFitted, Rows, checked_rows, groups_seen
from inference.blocks.registry import block


@block("head", "deep_belief")
class DeepBelief(ClassifierMixin, BaseEstimator):
    """Hinton 2006, as of [44] (Hirra 2021).

    Columns are brought to 0–1 by the training rows. Each layer of `hidden` is a restricted Boltzmann machine that
    learns in `pretraining` passes what the layer before it says; their weights are where a sigmoid network with a
    logistic regression on top begins, which then learns from the labels in `epochs` passes. With `pretraining` 0 it
    begins from chance.
    """

    def __init__(
        self,
        hidden: tuple[int, ...] = (256, 64),
        pretraining: int = 20,
        epochs: int = 100,
        learning_rate: float = 1e-3,
        alpha: float = 1e-3,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.pretraining = pretraining
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.alpha = alpha
        self.seed = seed

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raises `ValueError` for no layer, or passes that are none."""
        if not self.hidden or min(self.hidden) < 1 or self.epochs < 1 or self.pretraining < 0:
            raise ValueError("deep_belief: it needs a layer of one unit and an epoch at least")

    def fit(self, rows: Any, labels: Any, groups: Sequence[Any] | None = None) -> Self:
        """Raises `ValueError` for rows that do not go with labels, or of a single class."""
        table, given = checked_rows(rows, labels)
        self.classes_, numbers = np.unique(given, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"deep_belief: all {len(given)} rows are {str(self.classes_[0])!r}")
        self._low, spread = table.min(axis=0), np.ptp(table, axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        scaled = self._scaled(table)
        network = MLPClassifier(
            self.hidden, activation="logistic", alpha=self.alpha, learning_rate_init=self.learning_rate,
            max_iter=1, warm_start=True, random_state=self.seed, tol=0.0, n_iter_no_change=self.epochs,
        )  # fmt: skip
        with warnings.catch_warnings():
            # so many passes and no more were asked for
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(scaled, numbers)  # lays the layers out
            if self.pretraining:
                self._begin(network, scaled)
            network.set_params(max_iter=self.epochs).fit(scaled, numbers)
        self.estimator_ = network
        self.fitted_on = groups_seen(groups)
        return self

    def predict_proba(self, rows: Any) -> Rows:
        """N×K in the order of `classes_`."""
        if not hasattr(self, "estimator_"):
            raise NotFitted("deep_belief has not been fitted")
        return np.asarray(
            self.estimator_.predict_proba(self._scaled(np.asarray(rows, np.float64))), np.float64
        )

    def predict(self, rows: Any) -> NDArray[Any]:
        return np.asarray(self.classes_[self.predict_proba(rows).argmax(axis=1)])

    def _begin(self, network: MLPClassifier, rows: Rows) -> None:
        """Each hidden layer's weights from a Boltzmann machine that has seen no label."""
        said = rows
        for layer, units in enumerate(self.hidden):
            machine = BernoulliRBM(
                units, learning_rate=0.05, batch_size=min(32, len(rows)), n_iter=self.pretraining,
                random_state=self.seed + layer,
            ).fit(said)  # fmt: skip
            network.coefs_[layer][:] = machine.components_.T
            network.intercepts_[layer][:] = machine.intercept_hidden_
            said = machine.transform(said)

    def _scaled(self, rows: Rows) -> Rows:
        return np.asarray(np.clip((rows - self._low) / self._spread, 0, 1), np.float64)
