"""A recipe from data to summary: choose, divide, guard the border, learn, predict, judge. Goes on after a kill."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed as dist

from inference.datasets.sample import DatasetError, Sample
from inference.evaluation.records import PREDICTIONS, Record, read_records, write_records
from inference.progress import ProgressLine
from inference.recipes.boundary import NearDuplicates, guard, joined, look_alikes, refuse_neighbourly
from inference.recipes.clusters import cluster_report
from inference.recipes.mlflow_files import MlflowFiles
from inference.recipes.pictures import read, read_file
from inference.recipes.pipeline import Pipeline, Place
from inference.recipes.protocol import Chosen, Fold, choose, divide, is_leaky, tissue_of
from inference.recipes.provenance import Rows
from inference.recipes.rehearsal import rehearse
from inference.recipes.reporting import probabilities_of, records, summary
from inference.recipes.runfolder import CLUSTERS, FOLD, SECONDS, RunFolder, refuse_pickled, working_in
from inference.recipes.schema import Recipe, RecipeError
from inference.training.device import device
from inference.training.world import join_world, world

#: Declared of a control.
SHUFFLED = "labels were shuffled over groups: a control, not a result"


@dataclass(frozen=True)
class RunOptions:
    """What the command line may ask beyond the recipe. `shuffle_labels` is a control: the AUC must be chance.
    `inflated` allows the protocol `image_level`, which leaks by design. `source` is the recipe's file, `extended` those
    that it extends; `mlflow` a file store to write to as well."""

    data: Path
    run: Path
    source: Path
    variants: tuple[str, ...] = ()
    seed: int = 0
    shuffle_labels: bool = False
    inflated: bool = False
    extended: tuple[Path, ...] = ()
    quiet: bool = False
    mlflow: Path | None = None


def run(recipe: Recipe, order: RunOptions, *, rehearsed: bool = False) -> dict[str, Any]:
    """Run all folds that are not done yet and return the summary, which also stands in the run folder.

    Raises
    ------
    RecipeError
        A block refuses what the recipe would give it, or it leaks by design and nobody asked for that.
    LeakError
        Something crosses the border of a fold, or a step has seen whom it is judged on.
    DatasetError
        The data are not there or cannot be divided so.
    RunError
        The folder belongs to another run, or another process works in it.
    """
    if is_leaky(recipe) and not order.inflated:
        raise RecipeError(
            f"{recipe.id}: data.protocol: image_level puts images of one patient on both sides; it is run to show "
            "inflation only, with --inflated"
        )
    if torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
    if not rehearsed:
        rehearse(recipe)
    with join_world(), ExitStack() as held:
        rank, processes = world()
        if rank == 0:
            held.enter_context(working_in(order.run))
        ready = prepared(recipe, order)
        chosen, folds, twins = ready.chosen, ready.folds, ready.twins
        declared = ready.declared
        place = RunFolder(order.run, writes=rank == 0)
        facts = {
            "variants": list(order.variants),
            "seed": order.seed,
            "processes": processes,
            "device": device().type,
            "threads": torch.get_num_threads(),
        }
        identity, digests = place.open(
            recipe, (order.source, *order.extended), facts, chosen, folds, declared,
            () if ready.tissue is None else ready.tissue.samples,
        )  # fmt: skip
        if order.mlflow is not None and rank == 0:
            params = {"recipe": recipe.hash, "dataset": recipe.data.dataset, **facts}
            place.mlflow = MlflowFiles(order.mlflow, recipe.id, order.run.name, identity, params)
        made: list[Record] = []
        for number, fold in enumerate(folds):
            guard(fold.train, fold.held_out, digests, twins, leaky=is_leaky(recipe))
            title = f"{recipe.id} fold {number + 1}/{len(folds)}"
            # Away from a terminal every epoch leaves its line.
            with ProgressLine(title, patience=0, elsewhere=0, quiet=order.quiet or rank > 0) as line:
                made += _fold(recipe, fold, number, ready, place, identity, order.seed, line)
        counted = {
            "dataset": recipe.data.dataset,
            "protocol": recipe.data.protocol,
            "folds": len(folds),
            "images": len({record.image for record in made}),
            "groups": len({record.group for record in made}),
            **{key: facts[key] for key in ("variants", "seed", "processes", "device")},
        }
        page = summary(recipe, made, counted, declared)
        if recipe.evaluate.clusters is not None:
            page["clusters"] = [place.read(f"fold-{number}/{CLUSTERS}") for number in range(len(folds))]
        place.write("summary.json", page)
        if place.mlflow is not None:
            place.mlflow.finish({figure["name"]: figure["value"] for figure in page["figures"]})
        return page


@dataclass(frozen=True)
class Prepared:
    """What a run works on: the samples with their pictures, the pairs that look alike, the folds, and what has to be
    declared of all that. The same order gives the same."""

    chosen: Chosen
    pictures: Rows
    twins: list[NearDuplicates]
    folds: list[Fold]
    declared: list[str]
    tissue: Rows | None = None


def prepared(recipe: Recipe, order: RunOptions) -> Prepared:
    """Choose, read and divide.

    Raises
    ------
    DatasetError
        The data are not there or cannot be divided so.
    """
    chosen = choose(recipe, order.data, order.seed)
    declared = list(chosen.declared)
    pictures = read(chosen.samples, recipe.data)
    twins = [] if is_leaky(recipe) else look_alikes(chosen.samples)
    if recipe.data.near_duplicates == "join" and twins and not is_leaky(recipe):
        chosen = replace(chosen, samples=joined(chosen.samples, twins))
        declared.append(f"{len(twins)} pairs of look-alikes were joined into one group")
    if order.shuffle_labels:
        chosen = replace(chosen, samples=shuffled(chosen.samples, order.seed))
        declared.append(SHUFFLED)
    folds, remarks = divide(chosen, recipe.data, order.seed)
    tissue = None
    if recipe.tissue is not None:
        second = tissue_of(recipe, order.data, order.seed)
        tissue = read(second, recipe.data.model_copy(update={"size": recipe.tissue.size, "roi": "none"}))
        declared.append(f"{len(second)} images of {recipe.tissue.dataset} say which patches are relevant")
    return Prepared(chosen, pictures, twins, folds, [*declared, *remarks, *_repeated(folds)], tissue)


def _fold(
    recipe: Recipe, fold: Fold, number: int, ready: Prepared, place: RunFolder, identity: str,
    seed: int, line: ProgressLine,
) -> list[Record]:  # fmt: skip
    """The fold's records: read where they are already, otherwise made."""
    folder = place.folder / f"fold-{number}"
    done = folder / PREDICTIONS
    known = [done.is_file()]
    if world()[1] > 1:
        dist.broadcast_object_list(known, src=0)
    if known[0]:
        return read_records(done)
    if place.writes:
        folder.mkdir(parents=True, exist_ok=True)

    def report(step: str, epoch: int, of: int, values: dict[str, float]) -> None:
        place.log(f"fold-{number}/{step}", epoch, values)
        filled = round(20 * epoch / of)
        numbers = "".join(f" {name} {value:.3f}" for name, value in values.items())
        say = line.keep if epoch == of else line.show
        say(f"{step} [{'#' * filled}{'-' * (20 - filled)}] {epoch}/{of}{numbers}")

    train, held = (rows_of(samples, ready.pictures) for samples in (fold.train, fold.held_out))
    resumed, began = any(folder.glob("*.pt")), (time.process_time(), time.perf_counter())
    pipeline = Pipeline(recipe, seed, tissue=ready.tissue)
    pipeline.fit(train, Place(folder, f"{identity} {number} ", report))
    predicted = pipeline.predict(held)
    made = records(recipe, predicted, held, number)
    refuse_neighbourly(pipeline.predict, held, predicted)
    if place.writes:
        pipeline.save(folder / FOLD)
        if recipe.evaluate.clusters is not None:
            place.write(f"fold-{number}/{CLUSTERS}", cluster_report(pipeline, train, held))
        if not resumed:  # else nobody knows what the killed run had taken
            processor, wall = time.process_time() - began[0], time.perf_counter() - began[1]
            place.write(
                f"fold-{number}/{SECONDS}", {"processor": round(processor, 1), "wall": round(wall, 1)}
            )
        write_records(done, made)
    if world()[1] > 1:
        dist.barrier()
    # what stands in the file has fewer digits than what was computed: both ways of getting here must agree
    return read_records(done)


def rows_of(samples: Sequence[Sample], pictures: Rows) -> Rows:
    """The samples with their pictures, some of `pictures`."""
    places = {(sample.path, sample.place): number for number, sample in enumerate(pictures.samples)}
    return replace(
        pictures.take([places[sample.path, sample.place] for sample in samples]), samples=tuple(samples)
    )


def shuffled(samples: tuple[Sample, ...], seed: int) -> tuple[Sample, ...]:
    """The labels dealt anew over groups; a group keeps one label, its first sample's lot."""
    groups = list(dict.fromkeys(sample.group_id for sample in samples))
    first = {sample.group_id: sample.label for sample in reversed(samples)}
    dealt = np.random.default_rng(seed).permutation([first[group] for group in groups])
    label = dict(zip(groups, (str(name) for name in dealt), strict=True))
    return tuple(replace(sample, label=label[sample.group_id]) for sample in samples)


def _repeated(folds: Sequence[Fold]) -> list[str]:
    held = [(sample.path, sample.place) for fold in folds for sample in fold.held_out]
    again = len(held) - len(set(held))
    return (
        [f"{again} predictions are of images that stand in the held-out part of several folds"]
        if again
        else []
    )


def predict_files(folder: Path, paths: Sequence[Path]) -> list[dict[str, float]]:
    """Class probabilities of image files by the pipeline of a fold's folder; names and metadata play no part.

    Raises
    ------
    DatasetError
        The fold is not finished or its file is refused, a file cannot be decoded, or the recipe needs outlines.
    RunError
        An earlier version's fold.
    """
    refuse_pickled((folder,))
    if not (folder / FOLD).is_file():
        raise DatasetError(f"{folder} holds no finished fold")
    pipeline = Pipeline.load(folder / FOLD)
    predicted = [pipeline.predict_alone(read_file(path, pipeline.recipe.data)) for path in paths]
    return [probabilities_of(pipeline.recipe, value) for value in predicted]
