"""Checks of a model whose served weights have seen every image: its folds' networks, each over what it has not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from inference.champions.plan import Plan
from inference.champions.registry import explained_of, networks_of_folds, recipe_of
from inference.contract import ModelManifest
from inference.datasets.sample import Sample
from inference.explain.check import Checked, Network, check
from inference.explain.exported import network_to_check, why_no_method
from inference.explain.network import AnswerForward, NoSuchExplanation, through_module
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.onnx_to_torch.convert import network_of
from inference.runtime.pipelines import WHOLE_IMAGE
from inference.runtime.store import version_folder


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
    """Outcomes of all folds together. `run` holds the folds' finished checkpoints, of an exported version the run that
    it was exported from; `limit` images a fold.

    Raises
    ------
    NoSuchExplanation
        A model without folds of its own, a fold that was not trained yet, or a method that its networks have not.
    DatasetError
        `data` are not those of the run.
    """
    pooled = Checked()
    folds = _exported if manifest.served_by == WHOLE_IMAGE else _champion
    try:
        for network, held_out in folds(manifest, run, data, store):
            if reason := why_no_method(network, manifest, methods):
                raise NoSuchExplanation(reason)
            pooled += check(
                network, held_out, methods=tuple(methods) if methods else None, limit=limit, seed=seed
            )
    except LookupError as error:
        raise NoSuchExplanation(str(error)) from error
    return pooled


def _champion(
    manifest: ModelManifest, run: Path, data: Path, store: Path
) -> Iterator[tuple[Network, Sequence[Sample]]]:
    explained = explained_of(manifest.name)
    plan = Plan(data, run, store, manifest.version, recipe_of(manifest.name, manifest.version))
    for fold in networks_of_folds(manifest.name, plan):
        answer = through_module(fold.network)
        yield (
            Network(explained, answer, (fold.network, answer), (manifest, AnswerForward(answer))),
            fold.held_out,
        )


def _exported(
    manifest: ModelManifest, run: Path, data: Path, store: Path
) -> Iterator[tuple[Network, Sequence[Sample]]]:
    # training's libraries take seconds to import
    from inference.champions.whole_image.folds import networks_of_record

    for fold in networks_of_record(manifest, version_folder(manifest, store), run, data):
        made = network_of(fold.weights)
        module = (made.network, through_module(made.network, made.outputs))
        yield network_to_check(fold.manifest, OnnxForward(fold.weights), module), fold.held_out
