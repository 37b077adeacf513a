"""`python -m inference explain`: heat maps of files, or the checks of a model's heat maps."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging import sandbox
from inference.champions.explained import Method
from inference.champions.registry import as_asked, explained_as, sets_of
from inference.cli.predict import files_of
from inference.contract import AnalysisError, ImageReference, ModelManifest
from inference.datasets import idc
from inference.datasets.sample import DatasetError, LeakError
from inference.evaluation.measuring import held_out, mosaic_records
from inference.evaluation.training_manifest import untrained
from inference.explain import overlay
from inference.explain.check import Network, as_text, check, record, report
from inference.explain.exported import network_to_check, why_no_method
from inference.explain.measure import Measured, summarise
from inference.explain.methods import heat_of, method_named
from inference.explain.network import (
    Answer,
    NoSuchExplanation,
    stored_module,
    through_forward,
    through_module,
)
from inference.explain.pointing import reference_to, served_heat
from inference.explain.subject import canvas_of_file
from inference.explain.tissue import area_under_roc, rows_pointed
from inference.runtime.custody import rewriting
from inference.runtime.geometry import Map
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.pipelines import WHOLE_IMAGE
from inference.runtime.store import read_manifest, verified_weights, version_folder
from inference.runtime.study import decoding, describe

_HEAT_LONGEST = 1024


@dataclass(frozen=True)
class ExplainOptions:
    """What the command line asked for, of files."""

    model: str
    store: Path
    method: str
    label: str | None
    um_per_px: float | None
    version: str | None = None


def explain(asked: ExplainOptions, paths: Sequence[Path], out: Path) -> int:
    """Write `<number>-<name>.<method>.overlay.png` and `….heat.png` of every file to `out`, and a line for each
    to standard output; for a file that cannot be explained a sentence to standard error.

    Returns
    -------
    int
        0; 1 when the method or the class is not the model's; 2 when no file could be explained.
    """
    manifest = read_manifest(asked.model, asked.store, asked.version)
    forward = OnnxForward(verified_weights(manifest, asked.store))
    try:
        method = _method(asked, manifest, forward)
    except NoSuchExplanation as error:
        sys.stderr.write(f"inference: {error}\n")
        return 1
    out.mkdir(parents=True, exist_ok=True)
    explained = 0
    for number, path in enumerate(files_of(paths)):
        image = reference_to(path, asked.um_per_px)
        try:
            if method is None:
                picture, heat = _picture(image), served_heat(manifest, forward, image)
            else:
                picture, heat = _attributed(image, manifest, asked.method, method)
        except AnalysisError as error:
            sys.stderr.write(f"{path}: {error}\n")
            continue
        except NoSuchExplanation as error:
            sys.stderr.write(f"inference: {error}\n")
            return 1
        shown, _ = overlay.write(out, f"{number:06d}-{path.stem}.{asked.method}", picture, heat)
        sys.stdout.write(f"{path}: {shown}\n")
        explained += 1
    return 0 if explained else 2


def _method(asked: ExplainOptions, manifest: ModelManifest, forward: OnnxForward) -> Method | None:
    """None for the map: serving draws that itself."""
    if asked.method == "map":
        return None
    explained = explained_as(manifest)
    reading = explained.reading
    label = asked.label or reading.positive
    answer: Answer = through_forward(forward if explained.through is None else explained.through(forward))
    if asked.method == "integrated_gradients":
        if explained.through is not None:
            raise NoSuchExplanation(
                f"{asked.model} {manifest.version} has steps before its network that no gradient passes: "
                "ask for occlusion"
            )
        answer = through_module(*stored_module(manifest, asked.store))
    known = manifest.classes
    if label not in (*known, reading.positive):
        raise NoSuchExplanation(f"{asked.model} has no class {label}; its classes are {', '.join(known)}")
    return method_named(asked.method, answer, reading, label)


def _picture(image: ImageReference) -> NDArray[np.uint8]:
    path = Path(image.path).absolute()
    if describe(image).kind == "slide":
        with decoding():
            return sandbox.read_slide(path, longest=overlay.LONGEST).display()
    with decoding():
        return sandbox.read(path).display()


def _attributed(
    image: ImageReference, manifest: ModelManifest, name: str, method: Method
) -> tuple[NDArray[np.uint8], Map]:
    field_by_field = explained_as(manifest).field_by_field
    if field_by_field is not None:
        shown, values = field_by_field(image, manifest, method)
        return shown, heat_of(name, values)
    canvas, picture = canvas_of_file(image, manifest)
    heat = np.where(canvas.picture, heat_of(name, method(canvas)), 0).astype(np.float32)
    return picture, canvas.placement.map_to_image(heat, longest=_HEAT_LONGEST)


@dataclass(frozen=True)
class CheckOptions:
    """What the command line asked for, of checks. `words` is the command itself, for the record."""

    model: str
    store: Path
    data: Path
    limit: int | None
    seed: int
    methods: tuple[str, ...] | None
    as_json: bool
    record: bool
    words: str
    folds: Path | None = None
    version: str | None = None


def run_checks(asked: CheckOptions) -> int:
    """Check the served network's heat maps on `val`, which it must not have been trained on.

    Returns
    -------
    int
        0; 1 with a sentence when the data are missing or were trained on.
    """
    manifest = read_manifest(asked.model, asked.store, asked.version)
    if asked.folds is not None:
        return _checked_folds(asked, manifest, asked.folds)
    forward = OnnxForward(verified_weights(manifest, asked.store))
    try:
        folder = version_folder(manifest, asked.store)
        held = as_asked(manifest, folder, held_out(sets_of(manifest, folder), asked.data))
        samples = untrained(held, folder)
        if not samples:
            raise LeakError(
                f"{asked.model} was trained on all of them: check the networks of its folds (--folds)"
            )
    except (LeakError, DatasetError) as error:
        sys.stderr.write(f"inference: {error}\n")
        return 1
    module = None
    try:
        stored, names = stored_module(manifest, asked.store)
        module = (stored, through_module(stored, names))
    except NoSuchExplanation as error:
        sys.stderr.write(f"inference: left out: {error}\n")
        if asked.methods and "integrated_gradients" in asked.methods:
            return 1
    if manifest.served_by == WHOLE_IMAGE:
        network = network_to_check(manifest, forward, module)
    else:
        network = Network(explained_as(manifest), through_forward(forward), module, (manifest, forward))
    if reason := why_no_method(network, manifest, asked.methods):
        sys.stderr.write(f"inference: {reason}\n")
        return 1
    checked = check(network, samples, methods=asked.methods, limit=asked.limit, seed=asked.seed)
    measured = summarise(checked.outcomes, asked.seed)
    if idc.NAME in sets_of(manifest, folder) and manifest.served_by != WHOLE_IMAGE:
        fields = mosaic_records(manifest, forward, asked.data)
        if fields:
            measured += summarise(rows_pointed(fields, "idc"), asked.seed)
            measured.append(area_under_roc(fields, "idc", asked.seed))
    protocol = "The served network on the published val parts, which it was not trained on."
    return _print_and_record(asked, manifest, measured, checked.seconds, protocol)


def _checked_folds(asked: CheckOptions, manifest: ModelManifest, run: Path) -> int:
    from inference.explain.folds import check_folds

    try:
        checked = check_folds(
            manifest,
            run,
            asked.data,
            asked.store,
            methods=asked.methods,
            limit=asked.limit,
            seed=asked.seed,
        )
    except (NoSuchExplanation, DatasetError) as error:
        sys.stderr.write(f"inference: {error}\n")
        return 1
    protocol = "The networks of the folds, each over the fold that it has not seen, pooled."
    return _print_and_record(
        asked, manifest, summarise(checked.outcomes, asked.seed), checked.seconds, protocol
    )


def _print_and_record(
    asked: CheckOptions,
    manifest: ModelManifest,
    measured: Sequence[Measured],
    seconds: dict[str, list[float]],
    protocol: str,
) -> int:
    content = report(manifest, measured, command=asked.words, seed=asked.seed, protocol=protocol)
    if asked.record:
        folder = version_folder(manifest, asked.store)
        with rewriting(folder):
            record(folder, content)
    sys.stdout.write(
        json.dumps(content, ensure_ascii=False) + "\n" if asked.as_json else as_text(content, seconds)
    )
    return 0
