"""`python -m inference evaluate`: the card's figures again, from the predictions of record or the weights."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from inference.champions.registry import as_asked, discipline_of, sets_of
from inference.cli.retrain import retrain
from inference.contract import AnalysisError, ModelManifest
from inference.datasets import idc
from inference.datasets.sample import DatasetError, LeakError, Sample
from inference.evaluation import comparison, external, measuring
from inference.evaluation.account import AccountError
from inference.evaluation.comparison import Difference
from inference.evaluation.figures import NotComputable
from inference.evaluation.folder import write_results
from inference.evaluation.mark_levels import IMAGES_PER_EXAM, MarkLevel, mark_levels
from inference.evaluation.records import (
    PREDICTIONS,
    Part,
    Record,
    RecordsError,
    read_records,
    write_records,
)
from inference.evaluation.results import (
    Results,
    chosen_records,
    results_of,
    results_on_record,
)
from inference.evaluation.training_manifest import read_training_manifest, refuse_training_samples, untrained
from inference.progress import CountProgress, ProgressLine
from inference.runtime import custody
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.pipelines import WHOLE_IMAGE
from inference.runtime.store import MANIFEST, read_manifest, verified_weights, version_folder, versions_of

_REFUSED = "; --skip-trained measures the others"


def run(chosen: Namespace, default_data: Path) -> int:
    """The subcommand; 0, or 1 with a sentence on stderr."""
    try:
        return _run(chosen, default_data)
    except (RecordsError, AccountError, LeakError, DatasetError, NotComputable, AnalysisError) as error:
        print(f"inference: {error}", file=sys.stderr)
        return 1


def _run(chosen: Namespace, default_data: Path) -> int:
    if chosen.retrain_fold is not None:
        return _again(chosen, chosen.data or default_data)
    manifest = read_manifest(chosen.model, chosen.store, chosen.version)
    folder = version_folder(manifest, chosen.store)
    if chosen.record:
        custody.refuse_unsealed_figures(folder)
    else:
        custody.verify(folder)
    if chosen.against is not None:
        ours = chosen_records(read_records(folder / PREDICTIONS), chosen.dataset, chosen.split)
        differences = comparison.compare(ours, records_at(chosen.against, chosen.model))
        print(_json([d.as_json() for d in differences]) if chosen.json else as_comparison(differences))
        return 0
    if chosen.marks:
        records = chosen_records(read_records(folder / PREDICTIONS), chosen.dataset, chosen.split)
        levels = mark_levels(records)
        print(_json([asdict(level) for level in levels]) if chosen.json else as_mark_levels(levels))
        return 0
    if chosen.rerun or chosen.record:
        found = rerun(
            manifest, chosen.store, chosen.data or default_data, dataset=chosen.dataset,
            # the laboratory's own folder holds what was trained on too; another tree is meant as a whole
            split=chosen.split or ("val" if chosen.data is None or chosen.record else None),
            skip_trained=chosen.skip_trained,
        )  # fmt: skip
        if chosen.record:
            with custody.rewriting(folder):
                found = record(folder, found.records)
    elif chosen.card:
        with custody.rewriting(folder):
            found = write_results(folder)
    else:
        found = results_on_record(folder, chosen.dataset, chosen.split)
    print(_json(found.as_json()) if chosen.json else as_text(found))
    return 0


def as_mark_levels(levels: Sequence[MarkLevel]) -> str:
    """A line a level."""
    lines = [f"false marks an exam of {IMAGES_PER_EXAM} images   from score   lesions found"]
    lines += [f"{level.false_marks:>32g}   {level.score:>10.4f}   {level.found:>13.3f}" for level in levels]
    return "\n".join(lines)


def rerun(
    manifest: ModelManifest, store: Path, data: Path, *, dataset: str | None = None, split: str | None = None,
    skip_trained: bool = False,
) -> Results:  # fmt: skip
    """Measure the served weights on samples below `data`; progress and failures go to stderr.

    Raises
    ------
    LeakError
        Samples were trained on, and `skip_trained` is not set or nothing is left.
    DatasetError
        `data` holds nothing of the kind.
    RecordsError
        `split` is `oof`, or no image gave a result.
    """
    folder = version_folder(manifest, store)
    sets = sets_of(manifest, folder)
    if split == "oof":
        raise RecordsError("--rerun measures the served weights; no out-of-fold prediction is theirs")
    samples: list[Sample] = []
    if dataset != measuring.MOSAIC:
        for name, tree in measuring.trees(sets, discipline_of(manifest), data, dataset).items():
            # of a set that was never seen there is no part to keep to
            whole = split is None or external.is_external(name, folder)
            wanted = [sample for sample in as_asked(manifest, folder, tree) if whole or sample.split == split]
            if not skip_trained:
                refuse_training_samples(wanted, folder, tree, _REFUSED)
            samples += untrained(wanted, folder, tree) if skip_trained else wanted
    forward = OnnxForward(verified_weights(manifest, store))
    records: list[Record] = []
    with ProgressLine(patience=0) as line:
        for part, own in _by_part(samples, folder):
            measured = measuring.measure_samples(manifest, forward, own, split=part, progress=_shown_on(line))
            for sentence in measured.failed:
                print(f"not measured: {sentence}", file=sys.stderr)
            records += measured.records
    if idc.NAME in sets and manifest.served_by != WHOLE_IMAGE and dataset in (None, measuring.MOSAIC):
        records += _mosaic(manifest, forward, folder, data, skip_trained)
    if not records:
        raise RecordsError("nothing was measured: no sample is left, or none gave a result")
    return results_of(manifest, records, "the served weights")


def _by_part(samples: Sequence[Sample], folder: Path) -> Iterator[tuple[Part, list[Sample]]]:
    """The samples of sets that the model has seen nothing of, then the others."""
    away = {sample.dataset for sample in samples if external.is_external(sample.dataset, folder)}
    parts: tuple[tuple[Part, bool], ...] = (("external", True), ("val", False))
    for part, outside in parts:
        own = [sample for sample in samples if (sample.dataset in away) is outside]
        if own:
            yield part, own


def _shown_on(line: ProgressLine) -> CountProgress:
    def progress(done: int, whole: int) -> None:
        say = line.keep if done == whole else line.show
        say(f"{done} of {whole} images")

    return progress


def _mosaic(
    manifest: ModelManifest, forward: OnnxForward, folder: Path, data: Path, skip_trained: bool
) -> list[Record]:
    if not (data / measuring.MOSAIC).is_dir():
        return []
    if measuring.MOSAIC_PATIENT in read_training_manifest(folder).get("idc", {}).get("patients", ()):
        patient = measuring.MOSAIC_PATIENT
        sentence = f"{manifest.name} {manifest.version} was trained on patient {patient}, whose slide this is"
        if not skip_trained:
            raise LeakError(sentence + _REFUSED)
        print(f"left out: {sentence}", file=sys.stderr)
        return []
    return measuring.mosaic_records(manifest, forward, data)


def record(folder: Path, measured: Sequence[Record]) -> Results:
    """Put what was measured in the place of the same sets' external or `val` records, and write figures and card
    anew."""
    external.write(folder, [record for record in measured if record.split == "external"])
    at_home = [record for record in measured if record.split != "external"]
    if at_home:
        path = folder / PREDICTIONS
        replaced = {record.dataset for record in at_home}
        before = read_records(path) if path.is_file() else []
        kept = [entry for entry in before if entry.split == "oof" or entry.dataset not in replaced]
        write_records(path, [*kept, *at_home])
    return write_results(folder)


def records_at(place: Path, model: str) -> list[Record]:
    """The predictions of record in a table, in a version's folder, or of the newest version of `model` in a store.

    Raises
    ------
    RecordsError
        None of these.
    CustodyError
        They are a version's, which is not what was sealed.
    """
    newest = [place / model / version / PREDICTIONS for version in versions_of(model, place)[-1:]]
    for candidate in (place, place / PREDICTIONS, *newest):
        if candidate.is_file():
            if (candidate.parent / MANIFEST).is_file():
                custody.verify(candidate.parent)
            return read_records(candidate)
    raise RecordsError(f"{place} is no table of predictions, and no store that holds one of {model}")


def _again(chosen: Namespace, data: Path) -> int:
    from inference.recipes.runfolder import folder_of

    run_folder = folder_of(f"{chosen.model}-fold-{chosen.retrain_fold}-again", chosen.run)
    repeated = retrain(
        chosen.model, chosen.store, data, run_folder, chosen.retrain_fold, chosen.seed, chosen.version
    )
    print(_json(repeated.as_json()) if chosen.json else repeated.as_text())
    return 0 if all(entry.within for entry in repeated.figures) else 1


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False)


def as_text(found: Results) -> str:
    """A table for people."""
    manifest = found.manifest
    weights = manifest.weights.sha256[:16]
    lines = [f"{manifest.name} {manifest.version} ({weights}…), measured on {found.measured_on}"]
    for number, figure in enumerate(found.figures):
        before = found.figures[number - 1] if number else None
        if before is None or (before.dataset, before.split) != (figure.dataset, figure.split):
            lines.append(f"{figure.dataset} {figure.split}")
        lines.append(
            f"  {figure.value:6.3f}  [{figure.low:.3f}, {figure.high:.3f}]  {figure.meaning}  "
            f"({figure.images} images, {figure.groups} groups)"
        )
        if figure.perfect is not None:
            lines.append(f"          {figure.perfect.in_words}")
    for row in found.rows:
        measured = "; ".join(f"{f.name} {f.value:.3f} [{f.low:.3f}, {f.high:.3f}]" for f in row.figures)
        where = f"{row.dataset} {row.split}, {row.table}: {row.subgroup}, {row.images} images"
        lines.append(f"  {where}: {measured or '–'}")
    for spread in found.spreads:
        lines.append(
            f"  {spread.dataset} {spread.split}, {spread.number} {spread.over}: {spread.name} "
            f"{spread.mean:.3f} ± {spread.sd:.3f}, {spread.lowest:.3f} to {spread.highest:.3f}"
        )
    return "\n".join(lines)


def as_comparison(differences: Sequence[Difference]) -> str:
    """First against second model, a line a question."""
    if not differences:
        return "no question that both models answer"
    return "\n".join(
        f"{d.meaning} ({d.dataset} {d.split}, {d.images} images, {d.groups} groups): {d.first:.3f} against "
        f"{d.second:.3f}, difference {d.difference:+.3f} [{d.low:+.3f}, {d.high:+.3f}], "
        f"DeLong p = {d.p_delong:.3g}"
        for d in differences
    )
