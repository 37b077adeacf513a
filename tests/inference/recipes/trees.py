"""Toy recipes and the tree that they learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from PIL import Image

CLASSIC: dict[str, Any] = {
    "id": "toy_classic",
    "reference": 61,
    "title": "Intensity and logistic regression",
    "task": {"classes": ["benign", "malignant"], "positive": "malignant"},
    "data": {"dataset": "busi", "size": [45, 60], "folds": 3},
    "streams": [{"features": ["intensity"]}],
    "head": "logistic_regression",
    "expect": {"measure": "auc", "review": 0.99},
    "substitutions": ["a toy"],
}
NEURAL: dict[str, Any] = {
    **{key: value for key, value in CLASSIC.items() if key != "head"},
    "id": "toy_neural",
    "data": {"dataset": "busi", "size": [24, 32], "folds": 2},
    "streams": [{"network": "plain"}],
    "train": {"epochs": 3, "batch": 4, "learning_rate": 0.01, "augment": ["affine", "brightness"]},
}


def recipe_file(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / f"{content['id']}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def busi_tree(root: Path, groups: int = 30) -> Path:
    """A set in BUSI's grammar whose malignant lesions are brighter: learnable, one image a group."""
    rows = ["image,class,group,split"]
    rng = np.random.default_rng(3)
    for number in range(1, groups + 1):
        label = "malignant" if number % 2 else "benign"
        name = f"{label} ({number}).png"
        coarse = cv2.resize(rng.normal(80, 25, (9, 12)).astype(np.float32), (60, 45))
        fine = cv2.resize(rng.normal(0, 20, (22, 30)).astype(np.float32), (60, 45))
        y, x = np.ogrid[:45, :60]
        disc = (x - rng.integers(18, 42)) ** 2 + (y - rng.integers(15, 30)) ** 2 < 90
        values = coarse + fine + disc * (70 if number % 2 else 15)
        path = root / "Dataset_BUSI_with_GT" / label / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(values, 1, 254).astype(np.uint8)).save(path)
        Image.fromarray((disc * 255).astype(np.uint8)).save(path.with_name(name.replace(".png", "_mask.png")))
        rows.append(f"{name},{label},g{number},train")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


def predictions(run_folder: Path) -> dict[str, str]:
    return {
        path.parent.name: path.read_text(encoding="utf-8")
        for path in sorted(run_folder.glob("fold-*/predictions.csv"))
    }
