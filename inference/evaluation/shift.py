"""Does a set of images look to a model like those that it was made from? A test over the set, from 50 images on.

One image that is unlike all others is the gate's business (`novelty_limit`). A hospital whose every image is a little
unlike is seen in no single one; over a set it is: after Rabanser, Günnemann and Lipton, *Failing Loudly* (NeurIPS
2019), who found tests on a classifier's outputs (Lipton 2018) with a two-sample test a dimension and a correction for
their number to be as good as anything. Here a Kolmogorov-Smirnov statistic a feature, and the maximum mean discrepancy
(Gretton 2012) over all of them together; p-values by permuting whole groups (patients), because images of one patient
are no independent draws, and a patient counts once however many images she has; Holm's correction (1979).

What is compared: the score (log-odds of the positive class), what the gate holds back, and plain statistics of the
image. The reference are the images of record with the scores that networks gave which had not seen them; the novelty
distance counts only where the served weights have not seen them either, since it was fitted to what they have seen.
Where labels are known on both sides, groups are permuted within labels and the reference is weighed to the mix of the
cases: another prevalence is no shift.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.contract import Flag, ImageResult, ModelManifest
from inference.evaluation.records import Record

REFERENCE = "reference.csv"
#: Below this many images nothing is said.
FEWEST = 50
#: A shift is named below this p, corrected for the number of features: one false alarm in a hundred sets.
LEVEL = 0.01
PERMUTATIONS = 2000
#: Features over images; `novelty` only where the reference has it.
_STATISTICS = ("contrast", "entropy", "sharpness", "breast_share", "novelty")
_WORDS = {
    "score": "score of the positive class (log-odds)",
    "gate": "share held back by the gate",
    "contrast": "contrast of the picture",
    "entropy": "entropy of its grey levels",
    "sharpness": "sharpness of the picture",
    "breast_share": "share of the film that is breast",
    "novelty": "novelty distance of the network's early features",
    "all": "all together (maximum mean discrepancy)",
}
Floats = NDArray[np.float64]


class ShiftError(ValueError):
    """No reference is kept beside the weights, it is damaged, or there are too few images."""


@dataclass(frozen=True)
class Seen:
    """What the model saw of one image: its group (patient), its label (empty where it is not known), features."""

    group: str
    label: str
    features: Mapping[str, float]


@dataclass(frozen=True)
class Compared:
    """One feature of the cases against the reference. `p` is corrected for the number of features."""

    name: str
    meaning: str
    reference_median: float | None
    cases_median: float | None
    statistic: float
    p: float


@dataclass(frozen=True)
class Shift:
    """What the test says of a set. `weighed`: whether labels were held fixed; `left_out`: cases whose label the
    reference does not have."""

    images: int
    groups: int
    reference_images: int
    weighed: bool
    left_out: int
    compared: tuple[Compared, ...]

    @property
    def named(self) -> tuple[Compared, ...]:
        """Features that differ, clearest first."""
        return tuple(
            sorted((one for one in self.compared if one.p < LEVEL), key=lambda one: (one.p, -one.statistic))
        )

    def as_json(self) -> dict[str, object]:
        return {
            **asdict(self),
            "level": LEVEL,
            "shifted": bool(self.named),
            "named": [one.name for one in self.named],
        }

    def in_words(self) -> str:
        """One sentence."""
        if not self.named:
            return f"no shift is seen in {self.images} images (every corrected p at least {LEVEL:g})"
        differing = ", ".join(f"{one.name} (p {one.p:.2g})" for one in self.named)
        return f"these {self.images} images are not like those that the model was made from: {differing}"


def features_of(result: ImageResult, manifest: ModelManifest) -> dict[str, float]:
    """The features of one analysed image; empty where it was not read."""
    if manifest.positive_class not in result.probabilities:
        return {}
    return {
        "score": log_odds(result.probabilities[manifest.positive_class]),
        "gate": float(Flag.OUT_OF_DISTRIBUTION in result.flags),
        **{name: result.descriptors[name] for name in _STATISTICS if name in result.descriptors},
    }


def reference_of(
    records: Sequence[Record], features: Sequence[Mapping[str, float]], manifest: ModelManifest
) -> list[Seen]:
    """The reference: images of record with the scores and flags on record, and the `features` that the served
    pipeline finds in them. The novelty of images that the served weights were fitted to is left out."""
    unseen = all(record.split == "val" for record in records)
    found = []
    for record, own in zip(records, features, strict=True):
        if not own or manifest.positive_class not in record.probabilities:
            continue
        kept = {name: value for name, value in own.items() if name != "novelty" or unseen}
        kept["score"] = log_odds(record.probabilities[manifest.positive_class])
        kept["gate"] = float(Flag.OUT_OF_DISTRIBUTION.value in record.flags)
        found.append(Seen(f"{record.dataset} {record.group}", record.label, kept))
    return found


def log_odds(chance: float) -> float:
    bounded = min(max(chance, 1e-6), 1 - 1e-6)
    return math.log(bounded / (1 - bounded))


def write_reference(folder: Path, seen: Sequence[Seen]) -> Path:
    """`reference.csv` in a version's folder: one row an image, 40 to 100 kB."""
    names = [name for name in ("score", "gate", *_STATISTICS) if all(name in one.features for one in seen)]
    path = folder / REFERENCE
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(("group", "label", *names))
        for one in seen:
            writer.writerow((one.group, one.label, *(f"{one.features[name]:.4g}" for name in names)))
    return path


def read_reference(folder: Path) -> list[Seen]:
    """
    Raises
    ------
    ShiftError
        There is none, or it is not what `write_reference` writes.
    """
    path, which = folder / REFERENCE, f"{folder.parent.name} {folder.name}"
    if not path.is_file():
        raise ShiftError(f"{which} has no {REFERENCE}: what its own images look like is not on record")
    with path.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        names = [name for name in rows.fieldnames or () if name not in ("group", "label")]
        if not {"score", "gate"} <= set(names):
            raise ShiftError(f"{which}/{REFERENCE} is no reference: it has no column score or gate")
        try:
            return [
                Seen(row["group"], row["label"], {name: float(row[name]) for name in names}) for row in rows
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise ShiftError(f"{which}/{REFERENCE}, line {rows.line_num}: {error}") from error


def shift_of(
    reference: Sequence[Seen], cases: Sequence[Seen], *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Shift:
    """Test a set against the reference.

    Raises
    ------
    ShiftError
        Fewer than 50 images, or no feature in common.
    """
    read = [one for one in cases if one.features]
    labelled = all(one.label for one in read)
    known = {one.label for one in reference} & {one.label for one in read} if labelled else set()
    weighed = bool(known)
    kept = [one for one in read if not weighed or one.label in known]
    if len(kept) < FEWEST:
        raise ShiftError(
            f"{len(kept)} images: a set is compared with the model's own from {FEWEST} images on"
        )
    base = [one for one in reference if not weighed or one.label in known]
    names = [name for name in base[0].features if all(name in one.features for one in kept)]
    if not names:
        raise ShiftError("the images and the reference have no feature in common")
    both = [*base, *kept]
    values = np.array([[one.features[name] for name in names] for one in both], np.float64)
    strata = [one.label if weighed else "" for one in both]
    owners = [f"reference {one.group}" for one in base] + [f"case {one.group}" for one in kept]
    members = _memberships(owners, strata, permutations, seed)
    weights = _weights(members, strata, owners)
    found = [_kolmogorov(values[:, column], weights) for column in range(len(names))]
    found.append(_discrepancy(values, len(base), weights))
    adjusted = _holm([_p(one) for one in found])
    middles = [np.median(values[: len(base)], axis=0), np.median(values[len(base) :], axis=0)]
    gate = names.index("gate") if "gate" in names else -1
    for rows, middle in zip((values[: len(base)], values[len(base) :]), middles, strict=True):
        if gate >= 0:
            middle[gate] = rows[:, gate].mean()  # of a yes or no the share says more
    compared = [
        Compared(name, _WORDS[name], round(float(middles[0][i]), 4), round(float(middles[1][i]), 4),
                 round(float(found[i][0]), 4), round(adjusted[i], 5))
        for i, name in enumerate(names)
    ]  # fmt: skip
    compared.append(
        Compared("all", _WORDS["all"], None, None, round(float(found[-1][0]), 4), round(adjusted[-1], 5))
    )
    return Shift(
        images=len(kept), groups=len({one.group for one in kept}), reference_images=len(base), weighed=weighed,
        left_out=len(read) - len(kept), compared=tuple(compared),
    )  # fmt: skip


def _memberships(owners: Sequence[str], strata: Sequence[str], draws: int, seed: int) -> NDArray[np.bool_]:
    """(1+D)×N: which images are cases; first as they are, then with whole groups dealt anew within their stratum."""
    names = list(dict.fromkeys(owners))
    number = {name: index for index, name in enumerate(names)}
    own = np.array([number[owner] for owner in owners])
    stratum_of = dict(zip(owners, strata, strict=True))
    dealt = np.zeros((1 + draws, len(names)), bool)
    dealt[0] = [name.startswith("case ") for name in names]
    generator = np.random.default_rng(seed)
    for stratum in sorted(set(stratum_of.values())):
        places = np.flatnonzero([stratum_of[name] == stratum for name in names])
        cases = int(dealt[0, places].sum())
        if cases:
            order = np.argsort(generator.random((draws, len(places))), axis=1)[:, :cases]
            dealt[np.arange(1, 1 + draws)[:, None], places[order]] = True
    return dealt[:, own]


def _weights(members: NDArray[np.bool_], strata: Sequence[str], owners: Sequence[str]) -> Floats:
    """(1+D)×N: what each image adds to the cases' distribution less the reference's, which is weighed to the cases'
    mix of strata; both sides sum to 1. A group's images share its weight."""
    sizes = Counter(owners)
    own = np.array([1 / sizes[owner] for owner in owners])
    cases = (members * own).sum(axis=1, keepdims=True)
    weights = members * own / cases
    for stratum in set(strata):
        inside = own * np.array([one == stratum for one in strata])
        share = (members * inside).sum(axis=1, keepdims=True) / cases
        others = (~members * inside).sum(axis=1, keepdims=True)
        weights -= np.where(others > 0, ~members * inside * share / np.maximum(others, 1e-12), 0.0)
    return np.asarray(weights, np.float64)


def _kolmogorov(values: Floats, weights: Floats) -> Floats:
    """The largest difference of the two distribution functions, for each draw."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    running = np.cumsum(weights[:, order], axis=1)[:, ends]
    return np.asarray(np.abs(running).max(axis=1), np.float64)


def _discrepancy(values: Floats, reference: int, weights: Floats) -> Floats:
    """Squared maximum mean discrepancy, a Gaussian kernel as wide as the median distance, for each draw."""
    spread = values[:reference].std(axis=0)
    scaled = (values - values[:reference].mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    scaled = np.clip(scaled, -10, 10)
    squares = (scaled**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * scaled @ scaled.T, 0)
    wide = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0
    kernel = np.exp(-distances / wide).astype(np.float32)
    thin = weights.astype(np.float32)
    return np.asarray(((thin @ kernel) * thin).sum(axis=1), np.float64)


def _p(statistics: Floats) -> float:
    """Of the first draw among all."""
    return float((statistics >= statistics[0] - 1e-6).mean())


def _holm(values: Sequence[float]) -> list[float]:
    adjusted, running = [0.0] * len(values), 0.0
    for rank, index in enumerate(np.argsort(values)):
        running = max(running, (len(values) - rank) * values[index])
        adjusted[index] = min(1.0, running)
    return adjusted
