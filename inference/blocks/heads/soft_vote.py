"""Several heads on the same rows, their probabilities in a weighted mean, as of [24]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from inference.blocks.heads.head import Head
from inference.blocks.learned import NotFitted, Rows, checked_rows, groups_seen
from inference.blocks.registry import UnknownBlock, block, build


@block("head", "soft_vote")
class SoftVote(ClassifierMixin, BaseEstimator):
    """`heads` names two or more, `svm` or `{svm: {C: 10}}`; `weights` one number each, alike where none are given."""

    def __init__(
        self,
        heads: Sequence[str | dict[str, dict[str, Any]]],
        weights: Sequence[float] = (),
        seed: int = 0,
    ) -> None:
        self.heads = heads
        self.weights = weights
        self.seed = seed

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raises `ValueError` for heads that are none or too few, and weights that do not go with them."""
        for spec in self.heads:
            self._head(spec)
        self._shares()

    def fit(self, rows: Any, labels: Any, groups: Sequence[Any] | None = None) -> Self:
        """Raises `ValueError` as `check_classes`, and where one of the heads does."""
        table, given = checked_rows(rows, labels)
        self.shares_ = self._shares()
        self.fitted_ = [self._head(spec).fit(table, given, groups) for spec in self.heads]
        self.classes_ = self.fitted_[0].classes_
        self.fitted_on = groups_seen(groups)
        return self

    def predict_proba(self, rows: Any) -> Rows:
        """N×K in the order of `classes_`."""
        if not hasattr(self, "fitted_"):
            raise NotFitted("soft_vote has not been fitted")
        said = [head.predict_proba(rows) for head in self.fitted_]
        return np.asarray(np.average(said, axis=0, weights=self.shares_), np.float64)

    def predict(self, rows: Any) -> NDArray[Any]:
        return np.asarray(self.classes_[self.predict_proba(rows).argmax(axis=1)])

    def _shares(self) -> NDArray[np.float64]:
        shares = np.asarray(self.weights or [1.0] * len(self.heads), np.float64)
        if len(self.heads) < 2 or len(shares) != len(self.heads):
            raise ValueError(
                f"soft_vote: {len(shares)} weights for {len(self.heads)} heads; two or more, one each"
            )
        if not (np.isfinite(shares).all() and (shares > 0).all()):
            raise ValueError("soft_vote: weights are numbers above 0")
        return np.asarray(shares / shares.sum(), np.float64)

    def _head(self, spec: str | dict[str, dict[str, Any]]) -> Head:
        name, settings = (spec, {}) if isinstance(spec, str) else next(iter(spec.items()))
        try:
            made = build("head", name, **{"seed": self.seed, **(settings or {})})
        except (UnknownBlock, TypeError) as error:
            raise ValueError(f"soft_vote: {error}") from None
        if not isinstance(made, Head):
            raise ValueError(f"soft_vote: {name} cannot be one of its heads")
        return made
