"""Checks of a model whose served weights have seen every image: its folds' networks, each over what it has not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inference.champions.plan import Plan
from inference.champions.registry import networks_of_folds, recipe_of
from inference.contract import ModelManifest
from inference.explain.check import Checked, Network, check
from inference.explain.network import AnswerForward, NoSuchExplanation, through_module


def check_folds(
    manifest: ModelManifest,
    run: Path,
    data: Path,
    store: Path,
    *,
    methods: Sequence[str] | None,
    limit: int | None,
    seed: int,
) -> Checked:
    """Outcomes of all folds together. `run` holds the folds' finished checkpoints; `limit` images a fold.

    Raises
    ------
    NoSuchExplanation
        A model without folds of its own, or a fold that was not trained yet.
    """
    pooled = Checked()
    try:
        plan = Plan(data, run, store, manifest.version, recipe_of(manifest.name))
        for fold in networks_of_folds(manifest.name, plan):
            answer = through_module(fold.network)
            asked = Network(manifest.name, answer, (fold.network, answer), (manifest, AnswerForward(answer)))
            pooled += check(
                asked, fold.held_out, methods=tuple(methods) if methods else None, limit=limit, seed=seed
            )
    except LookupError as error:
        raise NoSuchExplanation(str(error)) from error
    return pooled
