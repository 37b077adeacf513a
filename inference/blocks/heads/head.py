"""One shape for every classifier of rows: scaling, calibration and tuning inside, grouped, and a record of
groups."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

from inference.blocks.learned import NotFitted, Rows, checked_rows, groups_seen, inner_folds

KINDS = (
    "logistic_regression", "svm", "random_forest", "knn", "naive_bayes", "gradient_boosting", "mlp",
)  # fmt: skip
#: By how much of its band a row is moved, one after the other, for an answer that does not leap.
SHIFTS = np.linspace(-1, 1, 65)
#: Those whose distances or penalties depend on the columns' scales.
_SCALED = ("logistic_regression", "svm", "knn", "mlp")
_WEIGHTED = ("logistic_regression", "svm", "random_forest", "naive_bayes", "gradient_boosting")


class Head(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier by `kind`; every `setting` goes to the estimator itself.

    `tune` maps settings to candidates: the combination with the lowest log loss over inner folds is fitted
    again on all rows. Inner folds keep groups whole. `balanced` weighs rows so that classes count alike (kNN
    and MLP take no weights: an error). Classes keep their own labels; columns are scaled, for the kinds that
    need it, inside each fit. SVM scores become probabilities by Platt's sigmoid on inner out-of-fold scores;
    where a class has a single group there are no such folds, the sigmoid is fitted to the training scores,
    and `flattered` is True. kNN asks at most as many neighbours as there are rows: the rows of a rare branch or of a
    small inner fold may be fewer than it was given.

    Trees answer by leaps: features that another library rounds otherwise, by a millionth, can stand beyond a threshold.
    With `band` the answer is the mean over `SHIFTS` of all columns by up to that share of their standard deviation in
    the rows that were learned from, so that rounding moves it by a 65th of a leap.
    """

    def __init__(
        self,
        kind: str,
        settings: dict[str, Any] | None = None,
        tune: dict[str, list[Any]] | None = None,
        balanced: bool = False,
        folds: int = 5,
        seed: int = 0,
        band: float = 0.0,
    ) -> None:
        self.kind = kind
        self.settings = settings
        self.tune = tune
        self.balanced = balanced
        self.folds = folds
        self.seed = seed
        self.band = band

    def fit(self, rows: Any, labels: Any, groups: Sequence[Any] | None = None) -> Self:
        """`rows` N×d, finite; `labels` N of two classes or more.

        Raises
        ------
        ValueError
            Rows that do not go with labels, a single class, or a head that takes no weights.
        """
        table, classes = checked_rows(rows, labels)
        self.classes_, numbers = np.unique(classes, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"{self.kind}: all {len(classes)} rows are {str(self.classes_[0])!r}")
        if self.balanced and self.kind not in _WEIGHTED:
            raise ValueError(f"{self.kind} takes no weights: balance its rows instead")
        self.flattered = False
        self.chosen_: dict[str, Any] = {**(self.settings or {})}
        if self.tune:
            self.chosen_ |= self._best(table, numbers, groups)
        self.estimator_ = self._fitted(self.chosen_, table, numbers, groups)
        self.band_ = self.band * table.std(axis=0) if self.band else None
        self.fitted_on = groups_seen(groups)
        return self

    def predict_proba(self, rows: Any) -> Rows:
        """N×K in the order of `classes_`."""
        if not hasattr(self, "estimator_"):
            raise NotFitted(f"{self.kind} has not been fitted")
        table, band = np.asarray(rows, np.float64), getattr(self, "band_", None)
        moved = [table] if band is None else [table + shift * band for shift in SHIFTS]
        return np.asarray(
            np.mean([self.estimator_.predict_proba(each) for each in moved], axis=0), np.float64
        )

    def predict(self, rows: Any) -> NDArray[Any]:
        return np.asarray(self.classes_[self.predict_proba(rows).argmax(axis=1)])

    def __getstate__(self) -> dict[str, Any]:
        """Boosted trees in XGBoost's own binary JSON, which is data and nothing else."""
        state: dict[str, Any] = dict(super().__getstate__())
        if self.kind == "gradient_boosting" and "estimator_" in state:
            state["estimator_"] = bytes(state["estimator_"].get_booster().save_raw("ubj"))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.kind == "gradient_boosting" and "estimator_" in state:
            self.estimator_ = _estimator(self.kind, self.chosen_, self.seed)
            self.estimator_.load_model(bytearray(state["estimator_"]))

    def _best(self, rows: Rows, numbers: NDArray[Any], groups: Sequence[Any] | None) -> dict[str, Any]:
        assert self.tune is not None
        names = sorted(self.tune)
        options = [
            dict(zip(names, values, strict=True)) for values in product(*(self.tune[name] for name in names))
        ]
        pairs = inner_folds(numbers, groups, self.folds, self.seed)
        if not pairs:
            return options[0]
        known = range(len(self.classes_))

        def loss(option: dict[str, Any]) -> float:
            losses = []
            for inside, outside in pairs:
                own = None if groups is None else [groups[i] for i in inside]
                fitted = self._fitted({**(self.settings or {}), **option}, rows[inside], numbers[inside], own)
                losses.append(log_loss(numbers[outside], fitted.predict_proba(rows[outside]), labels=known))
            return float(np.mean(losses))

        return min(options, key=loss)

    def _fitted(
        self, settings: dict[str, Any], rows: Rows, numbers: NDArray[Any], groups: Sequence[Any] | None
    ) -> Any:
        weights = compute_sample_weight("balanced", numbers) if self.balanced else None
        if self.kind == "knn":
            settings = {**settings, "n_neighbors": min(settings.get("n_neighbors", 5), len(rows))}
        estimator = _estimator(self.kind, settings, self.seed)
        if self.kind in _SCALED:
            estimator = make_pipeline(StandardScaler(), estimator)
        if self.kind == "svm":
            pairs = inner_folds(numbers, groups, self.folds, self.seed)
            self.flattered = not pairs
            everything = np.arange(len(numbers))
            estimator = CalibratedClassifierCV(
                _Weighted(estimator, self.balanced),
                method="sigmoid",
                cv=pairs or [(everything, everything)],
                ensemble=not pairs,
            )
            return estimator.fit(rows, numbers)
        if weights is None:
            return estimator.fit(rows, numbers)
        if self.kind in _SCALED:
            return estimator.fit(rows, numbers, **{f"{estimator.steps[-1][0]}__sample_weight": weights})
        return estimator.fit(rows, numbers, sample_weight=weights)


class _Weighted(ClassifierMixin, BaseEstimator):
    """An SVM pipeline that balances its classes by itself: calibration passes no weights to a pipeline."""

    def __init__(self, pipeline: Any, balanced: bool) -> None:
        self.pipeline = pipeline
        self.balanced = balanced

    def fit(self, rows: Rows, numbers: NDArray[Any]) -> Self:
        weights = {"svc__class_weight": "balanced"} if self.balanced else {}
        self.pipeline_ = self.pipeline.set_params(**weights).fit(rows, numbers)
        self.classes_ = self.pipeline_.classes_
        return self

    def decision_function(self, rows: Rows) -> Rows:
        return np.asarray(self.pipeline_.decision_function(rows), np.float64)

    def predict(self, rows: Rows) -> NDArray[Any]:
        return np.asarray(self.pipeline_.predict(rows))


def _estimator(kind: str, settings: dict[str, Any], seed: int) -> Any:
    """One thread each: the laboratory runs folds, not threads.

    Raises
    ------
    ValueError
        An unknown kind.
    """
    if kind == "logistic_regression":
        return LogisticRegression(**{"max_iter": 2000, **settings})
    if kind == "svm":
        return SVC(**{"kernel": "rbf", **settings})
    if kind == "random_forest":
        return RandomForestClassifier(**{"n_estimators": 300, "n_jobs": 1, "random_state": seed, **settings})
    if kind == "knn":
        return KNeighborsClassifier(**{"n_neighbors": 5, "weights": "distance", **settings})
    if kind == "naive_bayes":
        return GaussianNB(**settings)
    if kind == "mlp":
        standard = {"hidden_layer_sizes": (32,), "alpha": 1e-2, "max_iter": 500, "random_state": seed}
        return MLPClassifier(**{**standard, **settings})
    if kind == "gradient_boosting":
        from xgboost import XGBClassifier

        standard = {"n_estimators": 300, "max_depth": 4, "learning_rate": 0.05, "subsample": 0.8}
        always = {"tree_method": "hist", "n_jobs": 1, "random_state": seed}
        return XGBClassifier(**{**standard, **settings, **always})
    raise ValueError(f"{kind!r} is no head: {', '.join(KINDS)}")
