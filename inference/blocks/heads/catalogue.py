"""The heads that a recipe names; each takes its estimator's main settings, `tune` and `balanced`.

Gradient boosting is xgboost, from the wheel `xgboost-cpu`: the same library as `xgboost`, by the same
authors, without the CUDA kernels (6 MB instead of 130) and without NVIDIA's communication library.
"""

from __future__ import annotations

from typing import Any

from inference.blocks.heads.head import Head
from inference.blocks.registry import block

Tune = dict[str, list[Any]]


@block("head", "logistic_regression")
def logistic_regression(
    C: float = 1.0,
    l1_ratio: float = 0.0,
    *,
    tune: Tune | None = None,
    balanced: bool = False,
    folds: int = 5,
    seed: int = 0,
) -> Head:
    """Penalised: ridge at `l1_ratio` 0, lasso at 1."""
    settings: dict[str, Any] = {"C": C}
    if l1_ratio:
        settings |= {"l1_ratio": l1_ratio, "solver": "saga", "max_iter": 5000}
    return Head("logistic_regression", settings, tune, balanced, folds, seed)


@block("head", "svm")
def svm(
    C: float = 1.0,
    gamma: float | str = "scale",
    kernel: str = "rbf",
    degree: int = 3,
    *,
    tune: Tune | None = None,
    balanced: bool = False,
    folds: int = 5,
    seed: int = 0,
) -> Head:
    """Support vector machine; Platt's probabilities from inner folds. [63]'s "cubic SVM" is `kernel:
    poly`."""
    settings = {"C": C, "gamma": gamma, "kernel": kernel, "degree": degree}
    return Head("svm", settings, tune, balanced, folds, seed)


@block("head", "random_forest")
def random_forest(
    trees: int = 300,
    max_depth: int | None = None,
    min_samples_leaf: int = 1,
    band: float = 0.0,
    *,
    tune: Tune | None = None,
    balanced: bool = False,
    folds: int = 5,
    seed: int = 0,
) -> Head:
    """Breiman 2001. `max_depth: 5, trees: 1` comes near a decision tree. `band`: see `Head`."""
    settings = {"n_estimators": trees, "max_depth": max_depth, "min_samples_leaf": min_samples_leaf}
    return Head("random_forest", settings, tune, balanced, folds, seed, band)


@block("head", "knn")
def knn(neighbours: int = 5, *, tune: Tune | None = None, folds: int = 5, seed: int = 0) -> Head:
    """Nearest neighbours, weighted by 1 / distance over scaled columns. Tuned as `n_neighbors`."""
    return Head("knn", {"n_neighbors": neighbours}, tune, False, folds, seed)


@block("head", "naive_bayes")
def naive_bayes(*, balanced: bool = False, seed: int = 0) -> Head:
    """Gaussian."""
    return Head("naive_bayes", {}, None, balanced, 5, seed)


@block("head", "gradient_boosting")
def gradient_boosting(
    trees: int = 300,
    max_depth: int = 4,
    learning_rate: float = 0.05,
    subsample: float = 0.8,
    band: float = 0.0,
    *,
    tune: Tune | None = None,
    balanced: bool = False,
    folds: int = 5,
    seed: int = 0,
) -> Head:
    """XGBoost (Chen and Guestrin 2016), histograms, one thread. `band`: see `Head`."""
    settings = {
        "n_estimators": trees,
        "max_depth": max_depth,
        "learning_rate": learning_rate,
        "subsample": subsample,
    }
    return Head("gradient_boosting", settings, tune, balanced, folds, seed, band)


@block("head", "mlp")
def mlp(
    hidden: tuple[int, ...] = (32,),
    alpha: float = 1e-2,
    *,
    tune: Tune | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Head:
    """Multi-layer perceptron ("BP neural network"), Adam, weight decay `alpha`. It stops when the loss on its
    own rows no longer falls: stopping early on rows drawn at random would not keep groups whole."""
    return Head("mlp", {"hidden_layer_sizes": hidden, "alpha": alpha}, tune, False, folds, seed)
