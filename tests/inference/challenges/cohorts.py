"""Cohorts of made-up rows whose truth is known: no image is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inference.challenges.cohort import Cohort
from inference.datasets.sample import ULTRASOUND, Sample


def made_up(patients: int, *, apart: float, features: int = 20, seed: int = 0) -> Cohort:
    """Two images a patient; half of the patients are positive, and lie `apart` from the others in each feature, in
    units of its spread."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(patients) % 2 == 1, 2)
    own = np.repeat(generator.normal(size=(patients, features)), 2, axis=0)
    rows = own + 0.5 * generator.normal(size=own.shape) + apart * truth[:, None]
    names = [str(number) for number in range(patients) for _ in range(2)]
    samples = tuple(
        Sample(
            id=f"{name}-{index}", dataset="made_up", discipline=ULTRASOUND, path=Path(f"{index}.png"),
            group_id=name, label="malignant" if positive else "benign", label_binary=bool(positive),
        )
        for index, (name, positive) in enumerate(zip(names, truth, strict=True))
    )  # fmt: skip
    return Cohort(samples, truth, tuple(names), rows)
