"""A reader study with several readers and cases: do readers see more with one modality than with another?

Obuchowski and Rockette's analysis of variance (1995) of the AUC of every reader with every modality, errors correlated
because all look at the same cases, with Hillis' degrees of freedom (Hillis 2007, Statistics in Medicine 26:596). The
same question asked of pseudovalues (Dorfman, Berbaum and Metz 1992) gives the same F (Hillis, Berbaum and Metz 2008):
`of_pseudovalues` computes it by another way, as a check.

Where every reader has read cases of their own (nested in readers) no two readers' errors hang together: Cov2 and Cov3
are 0, and the same tests come to F = MS(T) / MS(TR) with (I − 1)(J − 1) degrees of freedom.

Reference: Hillis 2014, Statistics in Medicine 33:330, whose notation (Var, Cov1, Cov2, Cov3) is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from inference.challenges.reader_scores import NestedStudy, Study
from inference.challenges.report import ChallengeError, Figure
from inference.evaluation.delong import auc_covariance, auc_interval, placements

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """What the AUCs of I modalities × J readers come to, and how their errors hang together: `variance` of one,
    `cov1` one reader with two modalities, `cov2` two readers with one, `cov3` two readers with two."""

    auc: Floats
    variance: float
    cov1: float
    cov2: float
    cov3: float

    @classmethod
    def of(cls, auc: Floats, covariance: Floats) -> Components:
        """From the IJ×IJ covariance of the AUCs, modality after modality."""
        modalities, readers = auc.shape
        modality, reader = np.divmod(np.arange(modalities * readers), readers)
        same_modality, same_reader = modality[:, None] == modality, reader[:, None] == reader

        def mean(where: NDArray[np.bool_]) -> float:
            return float(covariance[where].mean()) if where.any() else 0.0

        return cls(
            auc, mean(same_modality & same_reader), mean(~same_modality & same_reader),
            mean(same_modality & ~same_reader), mean(~same_modality & ~same_reader),
        )  # fmt: skip

    @property
    def between_modalities(self) -> float:
        """MS(T): J times the variance of the modalities' means."""
        return float(self.auc.shape[1] * self.auc.mean(axis=1).var(ddof=1))

    @property
    def interaction(self) -> float:
        """MS(TR): what is left when modality and reader are taken out."""
        means = self.auc.mean(axis=1, keepdims=True) + self.auc.mean(axis=0, keepdims=True) - self.auc.mean()
        rest = self.auc - means
        return float((rest**2).sum() / ((self.auc.shape[0] - 1) * (self.auc.shape[1] - 1)))

    @property
    def between_readers(self) -> float:
        """MS(R): I times the variance of the readers' means."""
        return float(self.auc.shape[0] * self.auc.mean(axis=0).var(ddof=1))


@dataclass(frozen=True)
class Difference:
    """First minus second modality, averaged over readers; `interval` by t with the test's degrees of freedom."""

    first: int
    second: int
    figure: Figure
    error: float
    p: float


@dataclass(frozen=True)
class Test:
    """That all modalities are equal, for the `population` that it speaks of; `freedom` of the denominator, infinite
    where readers are fixed."""

    population: str
    f: float
    freedom: float
    p: float
    differences: tuple[Difference, ...]


def components(study: Study | NestedStudy, *, jackknife: bool = True) -> Components:
    """AUCs by ranks and their covariances, by leaving out each case in turn, or as of DeLong (1988)."""
    return Components.of(*_areas(study, range(len(study.modalities)), jackknife=jackknife))


def _areas(
    study: Study | NestedStudy, places: Sequence[int], *, jackknife: bool = True
) -> tuple[Floats, Floats]:
    """AUCs of some modalities, I × J, and their IJ×IJ covariance, modality after modality."""
    readers = len(study.readers)
    if isinstance(study, Study):
        auc, covariance = _of_cases(
            study.truth, study.scores[list(places)].reshape(-1, len(study.truth)), jackknife
        )
        return auc.reshape(len(places), readers), covariance
    auc, covariance = np.empty((len(places), readers)), np.zeros((len(places), readers) * 2)
    for number in range(readers):
        truth, scores = study.of_reader(number)
        auc[:, number], covariance[:, number, :, number] = _of_cases(truth, scores[list(places)], jackknife)
    return auc, covariance.reshape(auc.size, auc.size)


def _of_cases(truth: NDArray[np.bool_], scores: Floats, jackknife: bool) -> tuple[Floats, Floats]:
    """AUCs of k scores of the same cases, and their k×k covariance."""
    auc, covariance = auc_covariance(truth, list(scores))
    if jackknife:
        left_out = np.stack([_without_each(truth, own) for own in scores])
        covariance = np.atleast_2d(np.cov(left_out)) * (len(truth) - 1) ** 2 / len(truth)
    return auc, covariance


def _without_each(truth: NDArray[np.bool_], scores: Floats) -> Floats:
    """The AUC without each case in turn, from the placements: N values."""
    above, below = placements(truth, scores)
    total, positives, negatives = above.mean(), len(above), len(below)
    left = np.empty(len(truth))
    left[truth] = (total * positives - above) / (positives - 1)
    left[~truth] = (total * negatives - below) / (negatives - 1)
    return left


def tests(own: Components) -> list[Test]:
    """Three answers: for readers and cases like these, for cases like these and these readers, for readers like these
    and these cases.

    Raises
    ------
    ChallengeError
        Fewer than two modalities or readers.
    """
    modalities, readers = own.auc.shape
    if modalities < 2 or readers < 2:
        raise ChallengeError(
            f"{modalities} modality(ies) and {readers} reader(s): a comparison needs two of each at least"
        )
    cases_speak = readers * max(own.cov2 - own.cov3, 0.0)
    both = own.interaction + cases_speak
    hillis = (
        both**2 / (own.interaction**2 / ((modalities - 1) * (readers - 1))) if own.interaction else math.inf
    )
    fixed_readers = own.variance - own.cov1 + (readers - 1) * max(own.cov2 - own.cov3, 0.0)
    return [
        _test("readers and cases", own, both, hillis),
        _test("cases, these readers", own, fixed_readers, math.inf),
        _test("readers, these cases", own, own.interaction, float((modalities - 1) * (readers - 1))),
    ]


def _test(population: str, own: Components, denominator: float, freedom: float) -> Test:
    modalities, readers = own.auc.shape
    numerator = own.between_modalities
    if denominator <= 0:
        raise ChallengeError("the readers' scores do not vary: there is no error to measure a difference by")
    f = numerator / denominator
    if math.isinf(freedom):
        p = stats.chi2.sf((modalities - 1) * f, modalities - 1)
    else:
        p = stats.f.sf(f, modalities - 1, freedom)
    error = math.sqrt(2 / readers * denominator)
    t = stats.norm if math.isinf(freedom) else stats.t(freedom)
    means, half = own.auc.mean(axis=1), float(t.ppf(0.975)) * error
    differences = tuple(
        Difference(
            a, b, Figure(float(gap), max(-1.0, float(gap) - half), min(1.0, float(gap) + half)), error,
            float(2 * t.sf(abs(gap) / error)),
        )
        for a, b in combinations(range(modalities), 2)
        for gap in [means[a] - means[b]]
    )  # fmt: skip
    return Test(population, f, freedom, float(p), differences)


def alone(study: Study | NestedStudy, modality: int) -> Figure:
    """A modality's mean AUC, for readers and cases like these, from its own data alone (Hillis 2014, section 5).
    Readers who come out alike by luck are taken to differ as much as their cases alone make them."""
    own = Components.of(*_areas(study, [modality]))
    readers = own.auc.shape[1]
    spread = max(float(own.auc.var(ddof=1)), own.variance - own.cov2)
    denominator = spread + readers * max(own.cov2, 0.0)
    freedom = denominator**2 / (spread**2 / (readers - 1)) if spread else math.inf
    half = float((stats.norm if math.isinf(freedom) else stats.t(freedom)).ppf(0.975)) * math.sqrt(
        denominator / readers
    )
    middle = float(own.auc.mean())
    return Figure(middle, max(0.0, middle - half), min(1.0, middle + half))


def of_pseudovalues(study: Study) -> tuple[float, float]:
    """F and degrees of freedom of Dorfman, Berbaum and Metz's analysis with Hillis' changes, for readers and cases: the
    three-way analysis of variance of pseudovalues K θ − (K − 1) θ without the case."""
    cases = len(study.truth)
    shape = study.scores.shape
    flat = study.scores.reshape(-1, cases)
    auc, _ = auc_covariance(study.truth, list(flat))
    left = np.stack([_without_each(study.truth, own) for own in flat])
    # centred on the AUC itself, as Hillis, Berbaum and Metz do: the mean of pseudovalues is the estimate
    pseudo = (cases * auc[:, None] - (cases - 1) * left).reshape(shape)
    pseudo += auc.reshape(shape[:2])[..., None] - pseudo.mean(axis=2, keepdims=True)
    square = _mean_squares(pseudo)
    denominator = square["TR"] + max(square["TC"] - square["TRC"], 0.0)
    free = (shape[0] - 1) * (shape[1] - 1)
    return square["T"] / denominator, denominator**2 / (square["TR"] ** 2 / free)


def _mean_squares(values: Floats) -> dict[str, float]:
    """T, TR, TC and TRC of a modality × reader × case table without repetition."""

    def mean(*axes: int) -> Floats:
        return np.asarray(values.mean(axis=axes, keepdims=True)) if axes else values

    t, r, c = values.shape
    whole, by_t, by_r, by_c = mean(0, 1, 2), mean(1, 2), mean(0, 2), mean(0, 1)
    by_tr, by_tc, by_rc = mean(2), mean(1), mean(0)
    parts = {
        "T": ((by_t - whole) ** 2).sum() * r * c / (t - 1),
        "TR": ((by_tr - by_t - by_r + whole) ** 2).sum() * c / ((t - 1) * (r - 1)),
        "TC": ((by_tc - by_t - by_c + whole) ** 2).sum() * r / ((t - 1) * (c - 1)),
        "TRC": ((values - by_tr - by_tc - by_rc + by_t + by_r + by_c - whole) ** 2).sum()
        / ((t - 1) * (r - 1) * (c - 1)),
    }
    return {name: float(value) for name, value in parts.items()}


def readers_of(study: Study | NestedStudy) -> Sequence[tuple[str, list[Figure]]]:
    """Each reader's AUC with every modality, the interval over cases (`delong.auc_interval`)."""
    found = []
    for number, reader in enumerate(study.readers):
        truth, scores = study.of_reader(number)
        auc, covariance = auc_covariance(truth, list(scores))
        sizes = int(truth.sum()), int((~truth).sum())
        own = zip(auc.tolist(), np.diag(covariance).tolist(), strict=True)
        found.append(
            (reader, [Figure(area, *auc_interval(area, variance, *sizes)) for area, variance in own])
        )
    return found
