"""CAMELYON17 lymph-node slides (Bándi 2019, CC0): `patient_012_node_3.tif`, five nodes a patient, five
centres.

The patients are artificial, put together from slides of several women: a split by patient is not one by
woman. Splits go by centre, which is also the shift that the set exists to measure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from inference.datasets import asap
from inference.datasets.notes import Notes
from inference.datasets.sample import HISTOPATHOLOGY, DatasetError, Manifest, Outline, Sample, Split
from inference.datasets.tables import by_key, table_rows

NAME = "camelyon17"
LICENCE = "CC0 (Bándi et al. 2019)"
LABELS = ("negative", "itc", "micro", "macro")
PATIENTS_A_CENTRE = 20
NODES = 5
#: training slides, as usually quoted
PUBLISHED = {"negative": 318, "itc": 36, "micro": 59, "macro": 87}
PN_STAGES = ("pn0", "pn0(i+)", "pn1mi", "pn1", "pn2")
_FILE = re.compile(r"^patient_(?P<patient>\d{3})_node_(?P<node>\d)\.tif$")


def read(root: Path) -> Manifest:
    """The slides below `root` with their labels from `stage_labels.csv` or `stages.csv` and lesion outlines
    from `lesion_annotations/` or `annotations/`. A slide without a label is `unlabelled` (test set).

    Raises
    ------
    DatasetError
        No slide name anywhere.
    """
    notes = Notes()
    labels = _stages(root, notes)
    annotations = {p.stem: p for p in root.rglob("patient_*_node_*.xml")}
    masks = {p.stem.removesuffix("_mask"): p for p in root.rglob("patient_*_node_*_mask.tif")}
    samples = []
    for path in sorted(root.rglob("*.tif")):
        match = _FILE.match(path.name)
        if path in masks.values():
            continue
        if match is None:
            notes.warn(f"{path.relative_to(root)}: not a name of this set, left out")
            continue
        outlines: tuple[Outline, ...] = ()
        if path.stem in annotations:
            try:
                outlines = asap.outlines(annotations[path.stem])
            except ValueError as error:
                notes.unreadable(annotations[path.stem], error)
        label = labels.get(path.name, "unlabelled")
        if label not in (*LABELS, "unlabelled"):
            notes.warn(f"{path.name}: stage {label} is none of {', '.join(LABELS)}, left out")
            continue
        if label == "negative" and any(not outline.hole for outline in outlines):
            notes.conflict((path, annotations[path.stem]), f"{path.name}: negative, but has tumour outlines")
        patient = f"patient_{match['patient']}"
        centre = str(int(match["patient"]) // PATIENTS_A_CENTRE % 5)
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                discipline=HISTOPATHOLOGY,
                path=path,
                group_id=f"centre-{centre}",
                patient_id=patient,
                label=label,
                label_binary=None if label == "unlabelled" else label != "negative",
                outlines=outlines,
                masks=(masks[path.stem],) if path.stem in masks else (),
                centre=centre,
                extra={"stage": labels[f"{patient}.zip"]} if f"{patient}.zip" in labels else {},
            )
        )
    if not samples:
        raise DatasetError(f"no CAMELYON17 slide under {root.name}")
    read_names = {sample.path.name for sample in samples}
    for name in sorted(name for name in set(labels) - read_names if name.endswith(".tif")):
        notes.warn(f"{name}: labelled, no slide")
    for stem in sorted((set(annotations) | set(masks)) - {sample.id for sample in samples}):
        notes.warn(f"{stem}: outlines without a slide")
    for archive in sorted(root.rglob("patient_*.zip")):
        notes.warn(f"{archive.name}: still packed, its slides are not read")
    _check_stages(root, labels, notes)
    notes.counts(NAME, Manifest(NAME, LICENCE, tuple(samples)).counts, PUBLISHED, what="slides")
    return Manifest.noted(NAME, LICENCE, samples, notes)


def _stage_table(root: Path) -> Path | None:
    tables = (table for name in ("stage_labels.csv", "stages.csv") for table in sorted(root.rglob(name)))
    return next(tables, None)


def _stages(root: Path, notes: Notes) -> dict[str, str]:
    """Labels by `patient_000_node_0.tif`, and stages by `patient_000.zip`, in lower case."""
    table = _stage_table(root)
    if table is None:
        notes.warn("no stage_labels.csv or stages.csv: slides have no labels")
        return {}
    rows = [
        (line, {**row, "stage": row["stage"].lower()})
        for line, row in table_rows(table, ("patient", "stage"), notes)
    ]
    return {name: row["stage"] for name, row in by_key(rows, "patient", table, notes).items()}


def _check_stages(root: Path, labels: dict[str, str], notes: Notes) -> None:
    """A patient whose five nodes are all labelled has the stage that follows from them."""
    for name, stage in labels.items():
        nodes = [labels.get(f"{name.removesuffix('.zip')}_node_{node}.tif", "") for node in range(NODES)]
        if not name.endswith(".zip") or not set(nodes) <= set(LABELS):
            continue
        table = _stage_table(root)
        if table and pn_stage(nodes) != stage:
            notes.conflict(table, f"{table.name}: {name} has stage {stage}, its nodes give {pn_stage(nodes)}")


def official(root: Path, manifest: Manifest) -> list[Split]:
    """Leave one centre out, once for each centre."""
    splits = []
    for centre in sorted({sample.centre or "" for sample in manifest.samples}):
        inside = [i for i, s in enumerate(manifest.samples) if s.centre != centre]
        outside = [i for i, s in enumerate(manifest.samples) if s.centre == centre]
        splits.append(Split.published(f"without-centre-{centre}", manifest.samples, inside, outside))
    return splits


def pn_stage(slides: Iterable[str]) -> str:
    """The patient's stage from the labels of the nodes (rules of the challenge; an ITC never counts as a
    positive node).

    Raises
    ------
    ValueError
        A label that is none of `LABELS`.
    """
    nodes = list(slides)
    unknown = set(nodes) - set(LABELS)
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]} is no slide label")
    macro, micro = nodes.count("macro"), nodes.count("micro")
    positive = macro + micro
    if macro and positive >= 4:
        return "pn2"
    if macro:
        return "pn1"
    if micro:
        return "pn1mi"
    return "pn0(i+)" if "itc" in nodes else "pn0"
