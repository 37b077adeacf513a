"""The classic path as a whole: features, selection and a head, judged by grouped folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from inference.blocks.learned import inner_folds
from inference.blocks.registry import build

TUNE: dict[str, dict[str, list[Any]]] = {
    "logistic_regression": {"C": [0.03, 0.3, 3.0]},
    "svm": {"C": [1.0, 10.0], "gamma": ["scale", 0.01]},
}


@pytest.mark.parametrize("name", ["logistic_regression", pytest.param("svm", marks=pytest.mark.long)])
def test_wdbc_reads_as_it_should_in_nested_cross_validation(name: str) -> None:
    """Honest anchors: 97–98 % accuracy, AUC 0.99 (methods.md). Settings are chosen inside each outer fold."""
    rows, labels = load_breast_cancer(return_X_y=True)
    scores = np.zeros(len(labels))
    for inside, outside in inner_folds(labels, None, 5, seed=1):
        head = build("head", name, tune=TUNE[name], folds=3).fit(rows[inside], labels[inside])
        scores[outside] = head.predict_proba(rows[outside])[:, 1]

    accuracy, auc = ((scores > 0.5) == labels).mean(), roc_auc_score(labels, scores)
    print(f"WDBC {name}: accuracy {accuracy:.4f}, AUC {auc:.4f}")
    assert accuracy >= 0.96
    assert auc >= 0.99


def lesion(malignant: bool, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An ultrasound-like lesion: benign a smooth wide ellipse, malignant spiculated and taller; both vary."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:96, 0:96] - 47.5
    turn = rng.uniform(-0.4, 0.4)
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    ratio = rng.uniform(0.8, 1.3) if malignant else rng.uniform(0.6, 1.0)
    angle, radius = np.arctan2(v, u), np.hypot(u, v / ratio)
    reach = rng.uniform(17, 24) * np.ones_like(radius)
    for wave in range(5, 14):
        size = rng.uniform(0.02, 0.08) if malignant else rng.uniform(0.0, 0.015)
        reach *= 1 + size * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    mask = radius < reach
    speckle = rng.gamma(4, 0.25, mask.shape)
    values = np.where(mask, rng.uniform(45, 70), rng.uniform(100, 130)) * speckle
    return np.clip(ndimage.gaussian_filter(values, 1), 0, 255).astype(np.uint8), np.asarray(mask)


def test_features_selection_and_svm_tell_smooth_lesions_from_spiculated_ones() -> None:
    features = [build("features", name) for name in ("shape", "intensity", "glcm", "fractal")]
    truth = np.arange(60) % 2
    pairs = [lesion(bool(malignant), seed) for seed, malignant in enumerate(truth)]
    rows = np.stack([np.concatenate([f(image, mask) for f in features]) for image, mask in pairs])
    groups = np.arange(60) // 4  # several images of a patient, benign and malignant
    scores = np.zeros(60)
    for inside, outside in inner_folds(truth, groups, 4, seed=0):
        chosen = build("select", "mrmr", keep=8).fit(rows[inside], truth[inside], groups[inside])
        head = build("head", "svm").fit(chosen.transform(rows[inside]), truth[inside], groups[inside])
        assert not head.fitted_on & {str(group) for group in groups[outside]}
        scores[outside] = head.predict_proba(chosen.transform(rows[outside]))[:, 1]

    assert roc_auc_score(truth, scores) > 0.95


def test_a_segmentation_in_between_costs_little() -> None:
    """Outlines tuned on the training images stand in for the truth's."""
    truth = np.arange(32) % 2
    pairs = [lesion(bool(malignant), 100 + seed) for seed, malignant in enumerate(truth)]
    images, masks = [image for image, _ in pairs], [mask for _, mask in pairs]
    train, test = slice(0, 20), slice(20, 32)
    segment = build("segment", "tuned", side="dark", agents=8, iterations=8, working_px=64)
    segment.fit(images[train], masks[train])
    shape = build("features", "shape")
    rows = np.stack([shape(image, segment(image)) for image in images])
    head = build("head", "logistic_regression").fit(rows[train], truth[train])

    assert roc_auc_score(truth[test], head.predict_proba(rows[test])[:, 1]) > 0.8


def test_shuffled_labels_give_no_signal() -> None:
    rng, labels = np.random.default_rng(3), np.arange(40) % 2
    shape = build("features", "shape")
    rows = np.stack([shape(*lesion(bool(malignant), seed)) for seed, malignant in enumerate(labels)])
    aucs = []
    for _ in range(8):
        shuffled = rng.permutation(labels)
        scores = np.zeros(40)
        for inside, outside in inner_folds(shuffled, None, 4, seed=0):
            head = build("head", "logistic_regression").fit(rows[inside], shuffled[inside])
            scores[outside] = head.predict_proba(rows[outside])[:, 1]
        aucs.append(roc_auc_score(shuffled, scores))

    assert 0.35 < np.mean(aucs) < 0.65
