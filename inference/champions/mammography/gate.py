"""What speaks of a film's abnormality, fitted together on out-of-fold films: the film reader, the likeliest mass, and
the likeliest cluster of calcifications, which the other two pass over.

A cluster's logit below that of the median normal film says nothing: there it only repeats how grainy a film is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.calibration import fit_logistic
from inference.runtime.calibration import sigmoid
from inference.runtime.mammography.pipeline import LOUDEST, logit_of, told_of

#: The columns of `told`, by the names that serving gives them.
SPEAKERS = ("abnormality", "mass", "cluster")
FILM, MASS, CLUSTER = range(3)

Told = NDArray[np.float64]


def likeliest_mass(output: Mapping[str, NDArray[Any]], values: Mapping[str, float]) -> float:
    """Of the network's `output`, as serving reads it; `values`: the calibration of marks."""
    return told_of(output, {**values, "abnormal_mass": 1.0})["mass"]


def fit(told: Told, abnormal: NDArray[np.bool_]) -> dict[str, float]:
    """The entries of the manifest's calibration that make an abnormality of `told` (N×3, out of fold)."""
    floor = float(np.median(told[~abnormal, CLUSTER]))
    heard = _heard(told, floor)
    (film, mass, cluster), offset = fit_logistic(heard, abnormal)
    # for the map: what a place would make of a normal film in which it alone speaks
    usual = np.median(heard[~abnormal], axis=0)
    return {
        "abnormal_slope": film,
        "abnormal_mass": mass,
        "abnormal_cluster": cluster,
        "abnormal_offset": offset,
        "cluster_floor": floor,
        "abnormal_elsewhere": float(offset + mass * usual[MASS] + cluster * usual[CLUSTER]),
        "cluster_elsewhere": float(offset + film * usual[FILM] + mass * usual[MASS]),
    }


def chances(spoken: Mapping[str, float], told: Told) -> NDArray[np.float64]:
    """Probabilities of abnormality of `told` (N×3), as serving says them."""
    heard = _heard(told, spoken["cluster_floor"])
    logits = [logit_of(dict(zip(SPEAKERS, row, strict=True)), spoken) for row in heard]
    return sigmoid(np.array(logits, np.float64))


def _heard(told: Told, floor: float) -> Told:
    heard = told.copy()
    heard[:, CLUSTER] = np.clip(told[:, CLUSTER], floor, LOUDEST)
    return heard
