"""Made-up predictions, for tests of figures and of what is written from them."""

from __future__ import annotations

import numpy as np

from inference.evaluation.records import Record


def record(number: int, label: str, chance: float, **more: object) -> Record:
    told_ = {"malignant": chance, "benign": 1 - chance, "normal": 0.0}
    return Record("busi", str(number), f"g{number}", label, told_, **more)  # type: ignore[arg-type]


def frames(number: int = 90, *, split: str = "oof") -> list[Record]:
    """Out-of-fold predictions of three folds, with lesions of three sizes and one false mark in four."""
    generator = np.random.default_rng(1)
    made = []
    for index in range(number):
        label = ("benign", "malignant", "normal")[index % 3]
        chance = float(np.clip(generator.normal(0.7 if label == "malignant" else 0.3, 0.2), 0, 1))
        shows = label != "normal"
        made.append(
            Record(
                "busi", f"{label} ({index})", f"g{index // 2}", label,
                {"benign": 0.9 * (1 - chance), "malignant": chance, "normal": 0.1 * (1 - chance)},
                dice=0.7 if shows else None, lesions=int(shows),
                marks=((0.8, int(shows and index % 4 > 0)),),
                split=split, fold=index // 2 % 3 if split == "oof" else None,  # type: ignore[arg-type]
                facts={"part": "train" if index % 2 else "val"}
                | ({"lesion_share": f"{0.01 * (1 + index % 5):.5f}"} if shows else {}),
            )
        )  # fmt: skip
    return made
