"""Does a tissue network look at biology or at the scanner? An index in the manner of PathoROB (Kömen 2025).

Fields are seen by two scanners, as stored and as a simulated one would see them, with as many of each class. Of every
field's nearest neighbours in the network's own features, none of them of the same patient, those of the same class seen
by the other scanner speak for biology (SO), those of the other class seen by the same scanner against it (OS). The
index is SO / (SO + OS): 1 where only tissue counts, 0.5 where the scanner counts as much, 0 where it alone does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from inference.evaluation import metrics
from inference.evaluation.bootstrap import of_all
from inference.evaluation.scanners import SCANNERS, Fields, Scanner

NEIGHBOURS = 15
_DRAWS = 1000
Floats = NDArray[np.float64]
#: Fields N×H×W×3 → features N×D and probabilities of the positive class N.
Look = Callable[[Fields], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Seen:
    """What a scanner does to a model: the index with its 95 % interval over patients, the AUC as stored and as seen by
    it, and the share of fields that its picture puts on the other side of the balanced operating point."""

    scanner: str
    words: str
    index: float
    low: float
    high: float
    auc_stored: float
    auc: float
    changed: float


@dataclass(frozen=True)
class Robustness:
    """`index`: the mean over scanners; `worst` names that of the lowest AUC."""

    fields: int
    patients: int
    index: float
    worst: str
    scanners: tuple[Seen, ...]

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def as_text(self) -> str:
        lines = [
            f"robustness index {self.index:.3f}, mean over {len(self.scanners)} simulated scanners "
            f"({self.fields} fields of {self.patients} patients; 1: tissue alone, 0.5: the scanner counts as much)"
        ]
        lines += [
            f"  {each.scanner:11s} index {each.index:.3f} [{each.low:.3f}, {each.high:.3f}]  AUC {each.auc:.3f} "
            f"(as stored {each.auc_stored:.3f})  {each.changed:.1%} change sides  ({each.words})"
            for each in self.scanners
        ]
        return "\n".join(lines)


def robustness(
    look: Look, fields: Fields, positive: NDArray[np.bool_], patients: Sequence[str], threshold: float,
    scanners: Sequence[Scanner] = SCANNERS,
) -> Robustness:  # fmt: skip
    """Of a network that is asked by `look`, over `fields` that it has not seen.

    Raises
    ------
    ValueError
        One of the classes is absent.
    """
    if positive.all() or not positive.any():
        raise ValueError("robustness needs fields of both classes")
    chosen = balanced(positive)
    fields, positive = fields[chosen], positive[chosen]
    owners = np.array(patients)[chosen]
    stored, as_stored = look(fields)
    before = of_all(metrics.auc(positive, as_stored), len(fields))
    found = []
    for number, scanner in enumerate(scanners):
        features, chances = look(scanner.see(fields))
        speaking = votes(
            np.concatenate([stored, features]), np.tile(positive, 2), np.repeat([False, True], len(fields)),
            np.tile(owners, 2),
        )  # fmt: skip
        low, high = _interval(speaking, np.tile(owners, 2), number)
        crossed = (chances >= threshold) != (as_stored >= threshold)
        seen = Seen(
            scanner=scanner.name,
            words=scanner.words,
            index=round(_index(speaking), 4),
            low=round(low, 4),
            high=round(high, 4),
            auc_stored=round(before, 4),
            auc=round(of_all(metrics.auc(positive, chances), len(fields)), 4),
            changed=round(float(crossed.mean()), 4),
        )
        found.append(seen)
    return Robustness(
        len(fields), len(set(owners)), round(float(np.mean([each.index for each in found])), 4),
        min(found, key=lambda each: each.auc).scanner, tuple(found),
    )  # fmt: skip


def balanced(positive: NDArray[np.bool_], seed: int = 0) -> NDArray[np.int64]:
    """Indices of as many fields of either class, in order."""
    generator = np.random.default_rng(seed)
    count = min(int(positive.sum()), int((~positive).sum()))
    parts = [generator.choice(np.flatnonzero(side), count, replace=False) for side in (positive, ~positive)]
    return np.sort(np.concatenate(parts))


def votes(
    features: Floats, positive: NDArray[np.bool_], scanner: NDArray[np.bool_], owners: NDArray[np.str_],
    neighbours: int = NEIGHBOURS,
) -> Floats:  # fmt: skip
    """Of each of N fields how many of its nearest neighbours speak for biology (SO) and for the scanner (OS): N×2.
    Nearness is the cosine of features about their mean; fields of one patient are no neighbours."""
    centred = features - features.mean(axis=0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    alike = unit @ unit.T
    alike[owners[:, None] == owners[None]] = -np.inf
    count = min(neighbours, len(features) - 1)
    nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
    allowed = np.isfinite(np.take_along_axis(alike, nearest, axis=1))
    same_class, same_scanner = positive[nearest] == positive[:, None], scanner[nearest] == scanner[:, None]
    return np.stack(
        [(allowed & same_class & ~same_scanner).sum(axis=1), (allowed & ~same_class & same_scanner).sum(axis=1)],
        axis=1,
    ).astype(np.float64)  # fmt: skip


def _index(speaking: Floats) -> float:
    for_biology, against = speaking.sum(axis=0)
    return float(for_biology / max(for_biology + against, 1.0))


def _interval(speaking: Floats, owners: NDArray[np.str_], seed: int) -> tuple[float, float]:
    """95 %, over draws of patients."""
    names, own = np.unique(owners, return_inverse=True)
    by_patient = np.stack([np.bincount(own, weights=column) for column in speaking.T], axis=1)
    counts = np.random.default_rng(seed).multinomial(len(names), [1 / len(names)] * len(names), size=_DRAWS)
    sums = counts @ by_patient
    low, high = np.quantile(sums[:, 0] / np.maximum(sums.sum(axis=1), 1.0), (0.025, 0.975))
    return float(low), float(high)
