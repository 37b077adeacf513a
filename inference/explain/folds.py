"""Checks of a model whose served weights have seen every image: its folds' networks, each over what it has not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inference.champions.plan import Plan
from inference.contract import ModelManifest
from inference.datasets.sample import grouped_folds
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

    Raises:
        NoSuchExplanation: a model without folds of its own, or a fold that was not trained yet.
    """
    model = manifest.name
    if model != "ultrasound":
        raise NoSuchExplanation(f"{model} is not made of folds: its val part can be checked without --folds")
    from inference.champions.ultrasound import build as build_ultrasound
    from inference.champions.ultrasound import train as ultrasound

    plan = Plan(data=data, run=run, store=store, version=manifest.version)
    samples = list(ultrasound.read(data).samples)
    pooled = Checked()
    for fold, (_, outside) in enumerate(grouped_folds(samples, build_ultrasound.FOLDS, plan.seed)):
        if not (run / f"fold-{fold}" / "checkpoint.pt").is_file():
            raise NoSuchExplanation(f"{run} holds no trained fold {fold}: train {model} first")
        network = build_ultrasound.fold_network(plan, samples, fold)
        answer = through_module(network)
        asked = Network(model, answer, (network, answer), (manifest, AnswerForward(answer)))
        held = [samples[index] for index in outside]
        pooled += check(asked, held, methods=tuple(methods) if methods else None, limit=limit, seed=seed)
    return pooled
