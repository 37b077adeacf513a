"""Which patches of an image to listen to: clusters that tell classes apart ([20]), and relevance ([30])."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from inference.blocks.aggregation.pooling import Bag, checked_bag, p_norm
from inference.blocks.heads.head import Head
from inference.blocks.learned import NotFitted, Rows, groups_seen, inner_folds
from inference.blocks.registry import block


class Instances:
    """The instances of many bags as one table, each with its bag's label and group."""

    def __init__(
        self,
        bags: Sequence[Bag],
        labels: Any,
        groups: Sequence[Any] | None,
        limit: int | None,
        seed: int,
    ) -> None:
        classes = np.asarray(labels)
        if len(bags) != len(classes):
            raise ValueError(f"{len(bags)} bags do not go with {len(classes)} labels")
        rng = np.random.default_rng(seed)
        kept = [_some(checked_bag(bag), limit, rng) for bag in bags]
        # Without groups a bag is its own group: its instances must never straddle a fold.
        names = range(len(bags)) if groups is None else groups
        sizes = [len(bag) for bag in kept]
        self.rows: Rows = np.concatenate(kept)
        self.bag = np.repeat(np.arange(len(bags)), sizes)
        self.labels = classes[self.bag]
        self.groups = np.asarray([str(name) for name in names])[self.bag]


def _some(bag: Bag, limit: int | None, rng: np.random.Generator) -> Bag:
    if limit is None or len(bag) <= limit:
        return bag
    return np.asarray(bag[np.sort(rng.permutation(len(bag))[:limit])], np.float64)


def own_label_confidence(
    instances: Instances, head: Head, folds: int, seed: int
) -> tuple[NDArray[np.float64], bool]:
    """For each instance, the probability of its bag's label, said by a head that never saw its group.

    Where a class has a single group there are no such heads; then one that saw everything speaks, and the
    second value is True: the confidences flatter.
    """
    pairs = inner_folds(instances.labels, list(instances.groups), folds, seed)
    flattered = not pairs
    if flattered:
        everything = np.arange(len(instances.rows))
        pairs = [(everything, everything)]
    confidence = np.zeros(len(instances.rows))
    for inside, outside in pairs:
        fitted = _like(head).fit(
            instances.rows[inside], instances.labels[inside], list(instances.groups[inside])
        )
        columns = np.searchsorted(fitted.classes_, instances.labels[outside])
        confidence[outside] = fitted.predict_proba(instances.rows[outside])[np.arange(outside.size), columns]
    return confidence, flattered


def _like(head: Head) -> Head:
    return Head(**head.get_params(deep=False))


@block("aggregate", "kmeans_discriminative")
class KMeansDiscriminative:
    """k-means over patch features; clusters that tell classes apart are kept; P-norm of the kept patches
    ([20]).

    A cluster's worth is the mean confidence that inner out-of-fold logistic regression puts on its patches'
    own labels, classes weighing alike. The clusters above the mean worth of all are kept, and at least the
    best one. At prediction a patch is kept by its nearest centre, without a label; a bag without such a patch
    is pooled whole. `flattered`: see `own_label_confidence`.
    """

    kind: Literal["rows"] = "rows"

    def __init__(
        self, clusters: int = 16, p: float = 3.0, folds: int = 3, per_bag: int = 64, seed: int = 0
    ) -> None:
        self.clusters = clusters
        self.p = p
        self.folds = folds
        self.per_bag = per_bag
        self.seed = seed
        self.fitted_on: frozenset[str] | None = None
        self.flattered = False

    def fit(self, bags: Sequence[Bag], labels: Any, groups: Sequence[Any] | None = None) -> Self:
        """Raises `ValueError` for bags that do not go with labels, or of one class only."""
        from sklearn.cluster import KMeans

        instances = Instances(bags, labels, groups, self.per_bag, self.seed)
        self._centre, spread = instances.rows.mean(axis=0), instances.rows.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        number = min(self.clusters, len(np.unique(instances.rows, axis=0)))
        self._means = KMeans(number, n_init=3, random_state=self.seed).fit(self._scaled(instances.rows))
        head = Head("logistic_regression", {"C": 0.1}, balanced=True)
        confidence, self.flattered = own_label_confidence(instances, head, self.folds, self.seed)
        counts = {label: int((instances.labels == label).sum()) for label in np.unique(instances.labels)}
        weights = np.array([1 / counts[label] for label in instances.labels])
        cluster = self._means.labels_
        totals = np.bincount(cluster, weights, minlength=number)
        self.worth = np.bincount(cluster, weights * confidence, minlength=number) / np.maximum(totals, 1e-12)
        average = float((weights * confidence).sum() / weights.sum())
        self.kept = self.worth > average
        self.kept[int(self.worth.argmax())] = True
        self.fitted_on = groups_seen(groups)
        return self

    def selected(self, bag: Bag) -> NDArray[np.bool_]:
        """n: True for the bag's discriminative patches; all of them where there is none."""
        if not hasattr(self, "kept"):
            raise NotFitted("kmeans_discriminative has not been fitted")
        chosen = self.kept[self._means.predict(self._scaled(checked_bag(bag)))]
        return np.asarray(chosen if chosen.any() else np.ones(len(chosen), bool))

    def transform(self, bags: Sequence[Bag]) -> Rows:
        """N bags of n×d → N×d."""
        return np.stack([p_norm(checked_bag(bag)[self.selected(bag)], self.p) for bag in bags])

    def _scaled(self, rows: Rows) -> Rows:
        return np.ascontiguousarray((rows - self._centre) / self._spread)


@block("aggregate", "relevance_filter")
class RelevanceFilter:
    """An SVM that drops irrelevant patches (fat, background …) before the mean of the others ([30]'s SVM#1).

    `fit_reference` learns from labelled tissue, as published (the colorectal set CRC-8). `fit` alone has only
    the bags' labels: a patch then counts as irrelevant where an inner out-of-fold head puts less than even
    odds, given the classes' number, on its bag's label. A recipe has to declare that. At least `minimum` of a
    bag's patches stay, the most relevant ones.
    """

    kind: Literal["rows"] = "rows"

    def __init__(
        self, minimum: float = 0.1, C: float = 1.0, folds: int = 3, per_bag: int = 32, seed: int = 0
    ) -> None:
        self.minimum = minimum
        self.C = C
        self.folds = folds
        self.per_bag = per_bag
        self.seed = seed
        self.fitted_on: frozenset[str] | None = None
        self.flattered = False
        self._judge: Head | None = None
        self._bar = 0.5
        self._from_reference = False

    def fit_reference(
        self, rows: Any, labels: Any, irrelevant: Sequence[str], groups: Sequence[Any] | None = None
    ) -> Self:
        """Learn from patches `rows` N×d of labelled tissue; the labels in `irrelevant` are to be dropped."""
        relevant = ~np.isin(np.asarray(labels), list(irrelevant))
        self._judge = self._svm().fit(rows, relevant, groups)
        self._from_reference, self.fitted_on = True, groups_seen(groups)
        return self

    def fit(self, bags: Sequence[Bag], labels: Any, groups: Sequence[Any] | None = None) -> Self:
        """Keeps what `fit_reference` learned; without it, learns from the bags' own labels."""
        if self._from_reference:
            return self
        instances = Instances(bags, labels, groups, self.per_bag, self.seed)
        head = Head("logistic_regression", {"C": 0.1}, balanced=True)
        confidence, self.flattered = own_label_confidence(instances, head, self.folds, self.seed)
        relevant = confidence > 1 / len(np.unique(instances.labels))
        self._judge = (
            self._svm().fit(instances.rows, relevant, list(instances.groups))
            if np.unique(relevant).size == 2
            else None
        )
        # Where all patches say equally little, half of them guess right: relevant is what beats the base
        # rate.
        self._bar = float(relevant.mean())
        self._all_relevant = self._judge is None
        self.fitted_on = groups_seen(groups)
        return self

    def relevance(self, bag: Bag) -> NDArray[np.float64]:
        """n probabilities that a patch is relevant."""
        rows = checked_bag(bag)
        if self._judge is None:
            if getattr(self, "_all_relevant", False):
                return np.ones(len(rows))
            raise NotFitted("relevance_filter has not been fitted")
        return np.asarray(self._judge.predict_proba(rows)[:, 1], np.float64)

    def selected(self, bag: Bag) -> NDArray[np.bool_]:
        """n: True for the patches that stay."""
        chances = self.relevance(bag)
        least = max(1, round(self.minimum * len(chances)))
        bar = min(self._bar, float(np.sort(chances)[-least]))
        return np.asarray(chances >= bar)

    def transform(self, bags: Sequence[Bag]) -> Rows:
        """N bags of n×d → N×d, the mean of the patches that stay."""
        return np.stack([checked_bag(bag)[self.selected(bag)].mean(axis=0) for bag in bags])

    def _svm(self) -> Head:
        return Head("svm", {"C": self.C}, balanced=True, seed=self.seed, folds=self.folds)
