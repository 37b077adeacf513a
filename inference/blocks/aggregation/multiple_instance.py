"""Multiple-instance classifiers ([31]): bags have labels, instances have none. Two classes.

A bag is positive (the second of the sorted labels, or `positive`) when it holds positive instances. Scores
become probabilities by Platt's sigmoid over inner out-of-fold bags, groups whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from inference.blocks.aggregation.pooling import Bag, checked_bag
from inference.blocks.learned import NotFitted, Rows, groups_seen, inner_folds
from inference.blocks.registry import block

Truth = NDArray[np.bool_]


class BagClassifier:
    """What all of them share: scaled columns, a limit of instances a bag, calibration. `flattered` is True
    where a class has a single group, so that the sigmoid had to be fitted to training scores."""

    kind: Literal["bags"] = "bags"

    def __init__(self, positive: str | None = None, per_bag: int = 50, folds: int = 3, seed: int = 0) -> None:
        self.positive = positive
        self.per_bag = per_bag
        self.folds = folds
        self.seed = seed
        self.fitted_on: frozenset[str] | None = None
        self.flattered = False

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raises `ValueError` where they are not two, or `positive` is none of them."""
        if len(set(classes)) != 2:
            raise ValueError(f"multiple-instance learning needs two classes, not {len(set(classes))}")
        if self.positive is not None and self.positive not in classes:
            raise ValueError(f"{self.positive!r} is none of the classes {', '.join(sorted(set(classes)))}")

    def fit(self, bags: Sequence[Bag], labels: Any, groups: Sequence[Any] | None = None) -> Self:
        """`bags` of n×d, one label each.

        Raises
        ------
        ValueError
            Not two classes, or `positive` is none of them.
        """
        classes = np.asarray(labels)
        self.classes_ = np.unique(classes)
        if len(self.classes_) != 2 or len(bags) != len(classes):
            raise ValueError(
                f"multiple-instance learning needs two classes and a label a bag: "
                f"{len(self.classes_)} classes, {len(bags)} bags, {len(classes)} labels"
            )
        names = [str(label) for label in self.classes_]
        if self.positive is not None and self.positive not in names:
            raise ValueError(f"{self.positive!r} is none of the classes {', '.join(names)}")
        self._column = 1 if self.positive is None else names.index(self.positive)
        truth = classes == self.classes_[self._column]
        rng = np.random.default_rng(self.seed)
        kept = [self._some(checked_bag(bag), rng) for bag in bags]
        pairs = inner_folds(truth, groups, self.folds, self.seed)
        scores = np.zeros(len(bags))
        for inside, outside in pairs:
            self._learn([kept[i] for i in inside], truth[inside])
            scores[outside] = [self._score(self._scaled(kept[i])) for i in outside]
        self._learn(kept, truth)
        self.flattered = not pairs
        if self.flattered:
            scores[:] = [self._score(self._scaled(bag)) for bag in kept]
        self._middle, spread = float(scores.mean()), float(scores.std())
        self._width = spread if spread > 0 else 1.0
        standard = (scores - self._middle) / self._width
        self._platt = LogisticRegression(C=10.0).fit(standard[:, None], truth)
        self.fitted_on = groups_seen(groups)
        return self

    def predict_proba(self, bags: Sequence[Bag]) -> Rows:
        """N×2 in the order of `classes_`."""
        if not hasattr(self, "_platt"):
            raise NotFitted(f"{type(self).__name__} has not been fitted")
        scores = np.array([self._score(self._scaled(checked_bag(bag))) for bag in bags])
        chances = self._platt.predict_proba(((scores - self._middle) / self._width)[:, None])[:, 1]
        pair = np.stack([1 - chances, chances], axis=1)
        return np.asarray(pair if self._column == 1 else pair[:, ::-1], np.float64)

    def predict(self, bags: Sequence[Bag]) -> NDArray[Any]:
        return np.asarray(self.classes_[self.predict_proba(bags).argmax(axis=1)])

    def _learn(self, bags: Sequence[Bag], truth: Truth) -> None:
        rows = np.concatenate(bags)
        spread = rows.std(axis=0)
        self._centre, self._spread = rows.mean(axis=0), np.where(spread > 0, spread, 1.0)
        self._learn_scaled([self._scaled(bag) for bag in bags], truth)

    def _scaled(self, bag: Bag) -> Bag:
        return np.asarray((bag - self._centre) / self._spread, np.float64)

    def _some(self, bag: Bag, rng: np.random.Generator) -> Bag:
        if len(bag) <= self.per_bag:
            return bag
        return np.asarray(bag[np.sort(rng.permutation(len(bag))[: self.per_bag])], np.float64)

    def _learn_scaled(self, bags: Sequence[Bag], truth: Truth) -> None:
        raise NotImplementedError

    def _score(self, bag: Bag) -> float:
        raise NotImplementedError


class _SupportVectors(BagClassifier):
    """Andrews, Tsochantaridis and Hofmann (NIPS 2002). A bag's score is its highest instance's."""

    def __init__(
        self,
        C: float = 1.0,
        kernel: str = "rbf",
        gamma: float | str = "scale",
        rounds: int = 10,
        positive: str | None = None,
        per_bag: int = 20,
        folds: int = 3,
        seed: int = 0,
    ) -> None:
        super().__init__(positive, per_bag, folds, seed)
        self.C = C
        self.kernel = kernel
        self.gamma = gamma
        self.rounds = rounds
        self._machine: Any = None

    def _svm(self, rows: Rows, labels: Truth) -> Any:
        return SVC(C=self.C, kernel=self.kernel, gamma=self.gamma, class_weight="balanced").fit(rows, labels)

    def _score(self, bag: Bag) -> float:
        return float(self._machine.decision_function(bag).max())


@block("aggregate", "mi_svm")
class InstanceSvm(_SupportVectors):
    """mi-SVM: the labels of positive bags' instances are guessed, an SVM is fitted, the guesses follow it,
    until nothing changes. Every positive bag keeps at least one positive instance."""

    def _learn_scaled(self, bags: Sequence[Bag], truth: Truth) -> None:
        rows = np.concatenate(bags)
        owner = np.repeat(np.arange(len(bags)), [len(bag) for bag in bags])
        in_positive = truth[owner]
        labels = in_positive.copy()
        for _ in range(self.rounds):
            self._machine = self._svm(rows, labels)
            scores = self._machine.decision_function(rows)
            guess = in_positive & (scores > 0)
            for bag in np.flatnonzero(truth):
                own = np.flatnonzero(owner == bag)
                if not guess[own].any():
                    guess[own[scores[own].argmax()]] = True
            if (guess == labels).all():
                return
            labels = guess


@block("aggregate", "mi_svm_bag")
class BagSvm(_SupportVectors):
    """MI-SVM: each positive bag is represented by one witness, at first the mean of its instances, then its
    highest-scoring instance, until the witnesses stay; negative bags bring all instances."""

    def _learn_scaled(self, bags: Sequence[Bag], truth: Truth) -> None:
        negative = np.concatenate([bag for bag, positive in zip(bags, truth, strict=True) if not positive])
        positive = [bag for bag, is_positive in zip(bags, truth, strict=True) if is_positive]
        witnesses = np.stack([bag.mean(axis=0) for bag in positive])
        labels = np.repeat([True, False], [len(witnesses), len(negative)])
        for _ in range(self.rounds):
            self._machine = self._svm(np.concatenate([witnesses, negative]), labels)
            chosen = np.stack([bag[self._machine.decision_function(bag).argmax()] for bag in positive])
            if np.array_equal(chosen, witnesses):
                return
            witnesses = chosen


@block("aggregate", "citation_knn")
class CitationKnn(BagClassifier):
    """Citation-kNN (Wang and Zucker 2000): the labels of the `references` nearest bags and of the bags that
    count this one among their `citers` nearest; distance is Hausdorff's with the `rank` smallest instead of
    the largest (share of the instances; 0 is the nearest pair). The score is the positive share of the
    two."""

    def __init__(
        self,
        references: int = 3,
        citers: int = 5,
        rank: float = 0.0,
        positive: str | None = None,
        per_bag: int = 50,
        folds: int = 3,
        seed: int = 0,
    ) -> None:
        super().__init__(positive, per_bag, folds, seed)
        self.references = references
        self.citers = citers
        self.rank = rank

    def _learn_scaled(self, bags: Sequence[Bag], truth: Truth) -> None:
        self._bags, self._truth = list(bags), truth
        number = len(bags)
        distance = np.full((number, number), np.inf)
        for i in range(number):
            for j in range(i):
                distance[i, j] = distance[j, i] = self._distance(bags[i], bags[j])
        # A new bag is cited by a training bag when it comes nearer than that bag's own n-th neighbour.
        place = min(self.citers, number - 1) - 1
        self._reach = np.sort(distance, axis=1)[:, max(0, place)]

    def _score(self, bag: Bag) -> float:
        distance = np.array([self._distance(bag, other) for other in self._bags])
        nearest = np.argsort(distance, kind="stable")[: self.references]
        votes = np.concatenate([self._truth[nearest], self._truth[distance <= self._reach]])
        return float(votes.mean())

    def _distance(self, first: Bag, second: Bag) -> float:
        pairs = cdist(first, second)
        there, back = np.sort(pairs.min(axis=1)), np.sort(pairs.min(axis=0))
        return float(max(there[int(self.rank * (len(there) - 1))], back[int(self.rank * (len(back) - 1))]))


@block("aggregate", "non_parametric")
class NonParametric(BagClassifier):
    """Non-parametric multiple-instance learning in the manner of Venkatesan 2015, which [31] found best.

    An instance's odds are a Gaussian-weighted vote of its `neighbours` nearest training instances, which
    carry their bags' labels, classes weighing alike (instances that are all the same are one, with the votes
    of all: which of them were nearest nobody could say again); the width is the median distance to the
    nearest ones. A bag's score is the mean log odds of its most positive `share` of instances.
    """

    def __init__(
        self,
        neighbours: int = 20,
        share: float = 0.5,
        positive: str | None = None,
        per_bag: int = 50,
        folds: int = 3,
        seed: int = 0,
    ) -> None:
        super().__init__(positive, per_bag, folds, seed)
        self.neighbours = neighbours
        self.share = share

    def _learn_scaled(self, bags: Sequence[Bag], truth: Truth) -> None:
        from sklearn.neighbors import NearestNeighbors

        rows = np.concatenate(bags)
        owner = np.repeat(np.arange(len(bags)), [len(bag) for bag in bags])
        labels = truth[owner]
        weights = np.where(labels, 0.5 / max(1, labels.sum()), 0.5 / max(1, (~labels).sum()))
        _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        rows, which = rows[np.sort(first)], np.argsort(np.argsort(first))[which.reshape(-1)]  # in their order
        self._weights = np.bincount(which, weights)
        self._labels = np.bincount(which, weights * labels) / self._weights
        number = min(self.neighbours, max(1, len(rows) - 1))
        self._index = NearestNeighbors(n_neighbors=number).fit(rows)
        distance, _ = self._index.kneighbors(rows[:: max(1, len(rows) // 500)])
        self._bandwidth = max(float(np.median(distance[:, 1:])) if number > 1 else 1.0, 1e-6)

    def _score(self, bag: Bag) -> float:
        distance, index = self._index.kneighbors(bag)
        vote = np.exp(
            -0.5 * (distance / self._bandwidth) ** 2 + 0.5 * (distance[:, :1] / self._bandwidth) ** 2
        )
        vote = vote * self._weights[index]
        positive = (vote * self._labels[index]).sum(axis=1)
        smoothing = 0.02 * vote.sum(axis=1)
        odds = np.log((positive + smoothing) / (vote.sum(axis=1) - positive + smoothing))
        number = max(1, round(self.share * len(bag)))
        return float(np.sort(odds)[-number:].mean())
