"""From a recipe's run to a version in the store: weights, manifest, predictions of record, figures, card, custody.

The predictions are those that the run's folds made. Each fold's network is written as ONNX and asked again by the
serving pipeline: what serving says otherwise is not exported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from torch import nn

from inference.blocks.overlap import dice
from inference.champions.plan import refuse_known_version, store_model
from inference.champions.registry import names
from inference.champions.whole_image.bundle import write_bundle
from inference.champions.whole_image.manifest import described, look_of
from inference.champions.whole_image.network import (
    example_of,
    outputs_of,
    served_by,
)
from inference.champions.whole_image.refusals import ExportError, why_not
from inference.champions.whole_image.stated import is_packed
from inference.champions.whole_image.words import DICE_AS_STORED, account
from inference.contract import ModelManifest
from inference.datasets.sample import MAMMOGRAPHY, ULTRASOUND, Sample, grouped_folds
from inference.evaluation.measuring import predict
from inference.evaluation.records import PREDICTIONS, Part, Record, read_records
from inference.evaluation.results import Results
from inference.recipes.pipeline import Pipeline, Place
from inference.recipes.runfolder import FOLD, RunFolder, refuse_pickled, working_in
from inference.recipes.runner import SHUFFLED, Prepared, RunOptions, prepared, rows_of
from inference.recipes.schema import Recipe
from inference.recipes.validation import parse
from inference.runtime.onnx_session import WEIGHTS, OnnxForward
from inference.runtime.onnx_to_torch.convert import network_of
from inference.runtime.onnx_to_torch.program import UnknownOperator
from inference.runtime.whole_image.pipeline import MAP
from inference.runtime.whole_image.preprocessing import network_input, working_canvas
from inference.runtime.whole_image.steps import has_steps, steps_of
from inference.training.export import export_onnx

#: A probability may differ so much between training's float32 and serving's ONNX, whose weights may be float16.
_SAME = 5e-3
#: Parts of one held-out part for points and gates that no image has a share in.
_PARTS = 5
#: Disciplines whose pages show what a model outlines.
_OUTLINED_ON_PAGES = (MAMMOGRAPHY, ULTRASOUND)


@dataclass(frozen=True)
class Export:
    """What becomes of which run. `name` and `version` are those in the store. `bundle`: with one for MONAI,
    whose weights are a pickle, which no platform takes from outside."""

    run: Path
    data: Path
    store: Path
    name: str
    version: str
    recipe: Recipe
    bundle: bool = True

    @cached_property
    def facts(self) -> dict[str, object]:
        """`run.json`."""
        content: dict[str, object] = RunFolder(self.run, writes=False).read("run.json")
        return content


@dataclass(frozen=True, eq=False)
class _Asked:
    """Images that were held out together: what the run said of them (`records`), by which network. `fold` is None for
    a part of one held-out part."""

    samples: list[Sample]
    records: list[Record]
    pipeline: Pipeline
    weights: Path
    fold: int | None


def recipe_of_run(run: Path) -> Recipe:
    """The recipe of a finished run, where a version can be made of it.

    Raises
    ------
    ExportError
        It is no finished run, a control, or `why_not` says why.
    """
    folder = RunFolder(run, writes=False)
    if not (run / "run.json").is_file():
        points = " (a sweep: name the folder of one of its points)" if (run / "sweep.json").is_file() else ""
        raise ExportError(f"{run} holds no run of a recipe{points}")
    if not (run / "summary.json").is_file():
        raise ExportError(f"the run in {run} is not finished: train it to its end first")
    if SHUFFLED in folder.read("data.json")["declared"]:
        raise ExportError(f"{run}: {SHUFFLED}")
    recipe = parse(folder.read("recipe.json"), "recipe.json")
    assert isinstance(recipe, Recipe)
    if reason := why_not(recipe):
        raise ExportError(f"{recipe.id} cannot be exported: {reason}")
    return recipe


def export(order: Export) -> ModelManifest:
    """Fit what is served, ask the folds' networks again, and write the version.

    Raises
    ------
    ExportError
        See `recipe_of_run`; or serving says otherwise than the run did.
    PlanError
        The store has that version, or it is no version number.
    RunError, DatasetError, LeakError
        The data are not those of the run, or another process works in it.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", order.name):
        raise ExportError(
            f"{order.name} cannot be the name of a model: small letters, digits and _, a letter first (--name)"
        )
    if order.name in names():
        raise ExportError(f"{order.name} is the name of a served model with a recipe of its own: give --name")
    refuse_known_version(order.name, order)
    with working_in(order.run):
        return _export(order)


def _export(order: Export) -> ModelManifest:
    recipe, folder, seed = order.recipe, RunFolder(order.run), int(str(order.facts["seed"]))
    ready = prepared(recipe, RunOptions(order.data, order.run, order.run / "recipe.yaml", seed=seed))
    refuse_pickled([order.run / f"fold-{number}" for number in range(len(ready.folds))])
    discipline = ready.chosen.samples[0].discipline
    if recipe.task.kind == "segment" and discipline not in _OUTLINED_ON_PAGES:
        raise ExportError(
            f"{recipe.id} cannot be exported: it outlines, and the pages of {discipline} show no outlines of a "
            f"model; sets of {' or '.join(_OUTLINED_ON_PAGES)} would be needed"
        )
    identity, _ = folder.open(recipe, (), {"seed": seed}, ready.chosen, ready.folds, ready.declared)
    asked = list(_asked(order, ready, seed))
    pictures = zip(ready.pictures.samples, ready.pictures.values, strict=True)
    looks = {sample.path: look_of(sample, picture, recipe) for sample, picture in pictures}
    final = asked[0].pipeline if len(ready.folds) == 1 else _final(order, ready, identity, seed)
    records, apart = [], 0.0
    for part in asked:
        own = {record.group for record in part.records}
        others = [record for each in asked for record in each.records if record.group not in own]
        known = [sample for each in asked for sample in each.samples if sample.group_id not in own]
        said = described(
            (order.name, order.version),
            recipe,
            ready,
            part.pipeline,
            others,
            [looks[sample.path] for sample in known],
        )
        made, by = (_outlined if recipe.task.kind == "segment" else _records)(said, part, ready)
        records += made
        apart = max(apart, by)
    if len(ready.folds) == 1:  # of parts again in the order of the run: intervals are drawn in it
        place = {sample.id: number for number, sample in enumerate(ready.folds[0].held_out)}
        records.sort(key=lambda record: place[record.image])
    held = [record for each in asked for record in each.records]
    seen = [looks[sample.path] for each in asked for sample in each.samples]
    network = served_by(final)
    manifest = described((order.name, order.version), recipe, ready, final, held, seen)
    told = account(recipe, folder.read("summary.json"), order.facts, apart, records)
    outputs, examples = outputs_of(network, recipe), (example_of(final.recipe),)

    def beside(place: Path, finished: ModelManifest, found: Results) -> None:
        if order.bundle:
            write_bundle(place, finished, final.recipe, network, told, found.figures)

    seen_by_it = ready.chosen.samples
    return store_model(
        order,
        manifest,
        network,
        examples,
        outputs,
        seen_by_it,
        records,
        told,
        beside=beside,
        exact=_leaps(recipe),
    )


def _asked(order: Export, ready: Prepared, seed: int) -> Iterator[_Asked]:
    """The run's held-out images by fold; of one fold by parts, so that points and gates can be fitted on others."""
    for number, fold in enumerate(ready.folds):
        place = order.run / f"fold-{number}"
        pipeline = Pipeline.load(place / FOLD)
        network = served_by(pipeline)
        weights = place / WEIGHTS
        _write_onnx(network, pipeline.recipe, weights)
        records = read_records(place / PREDICTIONS)
        if [record.image for record in records] != [sample.id for sample in fold.held_out]:
            raise ExportError(f"{place / PREDICTIONS} is of other images than the run's fold")
        held = list(fold.held_out)
        if len(ready.folds) > 1:
            yield _Asked(held, records, pipeline, weights, number)
            continue
        groups = len({sample.group_id for sample in held})
        if groups < 2:
            raise ExportError("one group was held out: operating points need held-out images of at least two")
        for _, outside in grouped_folds(held, min(_PARTS, groups), seed):
            part = [held[i] for i in outside], [records[i] for i in outside]
            yield _Asked(*part, pipeline, weights, None)


def _leaps(recipe: Recipe) -> bool:
    """Whether it may answer by leaps, so that rounded weights are not seen in one recorded answer."""
    return recipe.head is not None or is_packed(recipe)


def _write_onnx(network: nn.Module, recipe: Recipe, path: Path) -> None:
    """
    Raises
    ------
    ExportError
        The network has a step that ONNX or the way back to torch has not, or is larger than a model may be.
    """
    try:
        exact = _leaps(recipe)
        export_onnx(network, (example_of(recipe),), outputs_of(network, recipe), path, exact=exact)
        network_of(path)
    except (
        RuntimeError,
        ValueError,
        UnknownOperator,
    ) as error:  # the exporter's own errors are RuntimeErrors
        words = str(error).strip().partition("\n")[0].partition("  [Caused by")[0]
        raise ExportError(
            f"{recipe.id} cannot be exported: its network cannot be written as ONNX and served ({words}); another "
            "network, pool or size would be needed"
        ) from error


def _final(order: Export, ready: Prepared, identity: str, seed: int) -> Pipeline:
    """The recipe fitted on every image of the run; a finished fit gives it at once."""
    folder = RunFolder(order.run)
    place = order.run / "final"
    if (place / FOLD).is_file():
        return Pipeline.load(place / FOLD)
    place.mkdir(exist_ok=True)
    pipeline = Pipeline(order.recipe, seed, tissue=ready.tissue)
    rows = rows_of(ready.chosen.samples, ready.pictures)
    pipeline.fit(
        rows,
        Place(
            place,
            f"{identity} final ",
            lambda step, epoch, _, values: folder.log(f"final/{step}", epoch, values),
        ),
    )
    pipeline.save(place / FOLD)
    return pipeline


def _records(manifest: ModelManifest, part: _Asked, _: Prepared) -> tuple[list[Record], float]:
    """What the run said of the part, with the flags of serving, and by how much serving's probabilities differ.

    Raises
    ------
    ExportError
        They differ by more than rounding.
    """
    split: Part = "val" if part.fold is None else "oof"
    said = predict(manifest, OnnxForward(part.weights), part.samples, split=split, fold=part.fold)
    points = {name: f"{level:.6f}" for name, level in manifest.thresholds.items()}
    made, apart = [], 0.0
    for ours, served_says in zip(part.records, said, strict=True):
        by = max(abs(ours.probabilities[name] - served_says.probabilities[name]) for name in manifest.classes)
        if not by <= _SAME:
            raise ExportError(
                f"serving says {served_says.probabilities} of {ours.image}, the run said {ours.probabilities}: the "
                "version would not be what was measured"
            )
        apart = max(apart, by)
        facts = {**served_says.facts, **ours.facts, **points}
        # it marks nothing: no lesion is asked for
        made.append(
            replace(
                served_says, probabilities=ours.probabilities, facts=facts, dice=None, lesions=0, marks=()
            )
        )
    return made, apart


def _outlined(manifest: ModelManifest, part: _Asked, ready: Prepared) -> tuple[list[Record], float]:
    """As `_records`, of outlines: the run's Dice, at the size that it outlines in, and by how much the served network's
    differs there. Places that it marks are serving's."""
    split: Part = "val" if part.fold is None else "oof"
    forward = OnnxForward(part.weights)
    said = predict(manifest, forward, part.samples, split=split, fold=part.fold)
    pictures = rows_of(part.samples, ready.pictures).values
    made, apart = [], 0.0
    for ours, served_says, picture in zip(part.records, said, pictures, strict=True):
        facts = {**served_says.facts, **ours.facts}
        if ours.dice is not None:
            if has_steps(manifest.preprocessing):
                tensor = steps_of(manifest).tensor(picture.image)
            else:
                tensor = network_input(working_canvas(picture.image, manifest.preprocessing))
            found = forward(tensor).outputs[MAP][0, 0] > 0
            by = abs(dice(found, picture.mask) - ours.dice)
            if not by <= _SAME:
                raise ExportError(
                    f"serving outlines {ours.image} with a Dice that differs by {by:.3f} from the run's: the version "
                    "would not be what was measured"
                )
            apart = max(apart, by)
            if served_says.dice is not None:
                facts[DICE_AS_STORED] = f"{served_says.dice:.4f}"
        made.append(replace(served_says, facts=facts, dice=ours.dice))
    return made, apart
