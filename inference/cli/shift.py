"""`python -m inference shift`: does a set of images look to a model like those that it was made from?"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from inference.champions.registry import as_asked, discipline_of, sets_of
from inference.contract import AnalysisError, ModelManifest
from inference.datasets.sample import DatasetError, Sample, evenly
from inference.evaluation import measuring, reference
from inference.evaluation.records import PREDICTIONS, Record, RecordsError, read_records
from inference.evaluation.shift import (
    FEWEST,
    Seen,
    Shift,
    ShiftError,
    read_reference,
    shift_of,
)
from inference.progress import ProgressLine
from inference.runtime import custody
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import read_manifest, verified_weights, version_folder

#: Exit status where a shift is named.
SHIFTED = 2


def run(chosen: Namespace, default_data: Path) -> int:
    """The subcommand; 0, 2 where a shift is named, 1 with a sentence on stderr."""
    manifest = read_manifest(chosen.model, chosen.store, chosen.version)
    folder = version_folder(manifest, chosen.store)
    custody.verify(folder)
    data = chosen.data or default_data
    try:
        if chosen.reference:
            with custody.rewriting(folder):
                print(make_reference(manifest, chosen.store, folder, data, chosen.limit or reference.MOST))
            return 0
        found = test(manifest, chosen.store, folder, data, chosen.dataset, chosen.limit)
    except (ShiftError, RecordsError, DatasetError, AnalysisError) as error:
        print(f"inference: {error}", file=sys.stderr)
        return 1
    if chosen.json:
        print(json.dumps({name: one.as_json() for name, one in found.items()}, ensure_ascii=False))
    else:
        print("\n\n".join(as_text(name, one) for name, one in found.items()))
    return SHIFTED if any(one.named for one in found.values()) else 0


def test(
    manifest: ModelManifest, store: Path, folder: Path, data: Path, dataset: str | None, limit: int | None
) -> dict[str, Shift]:
    """Every set below `data`, whole and scanner by scanner where there are 50 images of one.

    Raises
    ------
    ShiftError
        The version has no reference, or there are too few images.
    """
    own_images = read_reference(folder)
    sets = measuring.trees(sets_of(manifest, folder), discipline_of(manifest), data, dataset)
    found: dict[str, Shift] = {}
    for name, samples in sets.items():
        records, features = _measured(manifest, store, evenly(as_asked(manifest, folder, samples), limit))
        seen = [Seen(r.group, r.label, own) for r, own in zip(records, features, strict=True)]
        found[name] = shift_of(own_images, seen)
        for device in sorted({record.facts.get("device", "") for record in records} - {""}):
            own = [
                one for one, record in zip(seen, records, strict=True) if record.facts.get("device") == device
            ]
            if len(own) >= FEWEST:
                found[f"{name}, {device}"] = shift_of(own_images, own)
    return found


def make_reference(manifest: ModelManifest, store: Path, folder: Path, data: Path, most: int) -> Path:
    """Write `reference.csv`: the images of the predictions of record, looked at again by the served pipeline.

    Raises
    ------
    RecordsError
        No predictions are on record, or `data` holds none of their images.
    """
    samples: list[Sample] = []
    for found in measuring.trees(sets_of(manifest, folder), discipline_of(manifest), data).values():
        samples += found
    with ProgressLine(patience=0) as line:
        path, failed = reference.make_reference(
            manifest,
            OnnxForward(verified_weights(manifest, store)),
            folder,
            read_records(folder / PREDICTIONS),
            samples,
            most=most,
            progress=_shown(line),
        )
    for sentence in failed:
        print(f"not measured: {sentence}", file=sys.stderr)
    if path is None:
        raise RecordsError(
            f"{data} holds no image of the predictions of record of {manifest.name} {manifest.version}"
        )
    return path


def _measured(
    manifest: ModelManifest, store: Path, samples: Sequence[Sample]
) -> tuple[list[Record], list[dict[str, float]]]:
    forward = OnnxForward(verified_weights(manifest, store))
    with ProgressLine(patience=0) as line:
        measured = measuring.measure_samples(manifest, forward, samples, progress=_shown(line))
    for sentence in measured.failed:
        print(f"not measured: {sentence}", file=sys.stderr)
    return measured.records, measured.features


def _shown(line: ProgressLine) -> Callable[[int, int], None]:
    def progress(done: int, whole: int) -> None:
        (line.keep if done == whole else line.show)(f"{done} of {whole} images")

    return progress


def as_text(name: str, found: Shift) -> str:
    """A table for people."""
    held = "labels held fixed" if found.weighed else "labels unknown: another mix of cases looks like a shift"
    lines = [
        f"{name}: {found.in_words()}",
        f"  {found.images} images of {found.groups} groups against {found.reference_images}, {held}",
    ]
    for one in found.compared:
        middles = (
            "" if one.reference_median is None else f"{one.reference_median:9.3f} → {one.cases_median:9.3f}"
        )
        lines.append(f"  {one.statistic:6.3f}  p {one.p:<8.2g} {middles:22}  {one.meaning}")
    return "\n".join(lines)
