"""WDBC (Wolberg, CC BY 4.0): 30 features of nuclei in 569 fine-needle aspirates, as scikit-learn ships them.

Not images: each sample carries its row of the table, and `features` gives all of it in the same order.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from inference.datasets.sample import HISTOPATHOLOGY, Manifest, Sample, expected_counts

NAME = "wdbc"
LICENCE = "CC BY 4.0 (Wolberg et al. 1995)"
PUBLISHED = {"benign": 357, "malignant": 212}


def read(root: Path | None = None) -> Manifest:
    """One sample a patient; `root` is not needed, the data are in the package."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    table = Path(str(files("sklearn.datasets.data") / "breast_cancer.csv"))
    samples = tuple(
        Sample(
            id=f"wdbc-{row}",
            dataset=NAME,
            discipline=HISTOPATHOLOGY,
            path=table / f"row-{row}",
            group_id=f"wdbc-{row}",
            patient_id=f"wdbc-{row}",
            label=str(bunch.target_names[target]),
            label_binary=bunch.target_names[target] == "malignant",
            numbers=tuple(float(value) for value in bunch.data[row]),
            extra={"row": str(row)},
        )
        for row, target in enumerate(bunch.target)
    )
    counts = Manifest(NAME, LICENCE, samples).counts
    return Manifest(NAME, LICENCE, samples, tuple(expected_counts(NAME, counts, PUBLISHED)))


def features() -> tuple[np.ndarray, tuple[str, ...]]:
    """The table (569×30, float64) in the samples' order, and the names of its columns."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    return np.asarray(bunch.data, dtype=np.float64), tuple(str(name) for name in bunch.feature_names)
