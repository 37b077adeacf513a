"""CAMELYON17 lymph-node slides (Bándi 2019, CC0): `patient_012_node_3.tif`, five nodes a patient, five
centres.

The patients are artificial, put together from slides of several women: a split by patient is not one by
woman. Splits go by centre, which is also the shift that the set exists to measure.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree.ElementTree import ParseError

from inference.contract import Modality
from inference.datasets import asap
from inference.datasets.sample import DatasetError, Manifest, Outline, Sample, Split

NAME = "camelyon17"
LICENCE = "CC0 (Bándi et al. 2019)"
LABELS = ("negative", "itc", "micro", "macro")
PATIENTS_A_CENTRE = 20
PN_STAGES = ("pn0", "pn0(i+)", "pn1mi", "pn1", "pn2")
_FILE = re.compile(r"^patient_(?P<patient>\d{3})_node_(?P<node>\d)\.tif$")


def read(root: Path) -> Manifest:
    """The slides below `root` with their labels from `stage_labels.csv` or `stages.csv` and lesion outlines
    from `lesion_annotations/` or `annotations/`. A slide without a label is `unlabelled` (test set).

    Raises:
        DatasetError: no slide name anywhere.
    """
    labels, warnings = _stages(root)
    annotations = {p.stem: p for p in root.rglob("patient_*_node_*.xml")}
    samples = []
    for path in sorted(root.rglob("*.tif")):
        match = _FILE.match(path.name)
        if match is None:
            warnings.append(f"{path.relative_to(root)}: not a name of this set, left out")
            continue
        outlines: tuple[Outline, ...] = ()
        if path.stem in annotations:
            try:
                outlines = asap.outlines(annotations[path.stem])
            except ParseError as error:
                warnings.append(f"{annotations[path.stem].name}: unreadable ({error})")
        label = labels.get(path.name, "unlabelled")
        if label not in (*LABELS, "unlabelled"):
            warnings.append(f"{path.name}: stage {label} is none of {', '.join(LABELS)}, left out")
            continue
        centre = str(int(match["patient"]) // PATIENTS_A_CENTRE % 5)
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                modality=Modality.SLIDE_MICROSCOPY,
                path=path,
                group_id=f"centre-{centre}",
                patient_id=f"patient_{match['patient']}",
                label=label,
                label_binary=None if label == "unlabelled" else label != "negative",
                outlines=outlines,
                centre=centre,
            )
        )
    if not samples:
        raise DatasetError(f"no CAMELYON17 slide under {root.name}")
    warnings += [
        f"{name}: labelled, no slide"
        for name in sorted(set(labels) - {s.path.name for s in samples})
        if name.endswith(".tif")
    ]
    return Manifest(NAME, LICENCE, tuple(samples), tuple(warnings))


def _stages(root: Path) -> tuple[dict[str, str], list[str]]:
    for name in ("stage_labels.csv", "stages.csv"):
        for table in sorted(root.rglob(name)):
            with table.open(newline="", encoding="utf-8") as lines:
                rows = [row for row in csv.reader(lines) if len(row) >= 2 and row[0] != "patient"]
            return {row[0].strip(): row[1].strip().lower() for row in rows}, []
    return {}, ["no stage_labels.csv or stages.csv: slides have no labels"]


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

    Raises:
        ValueError: a label that is none of `LABELS`.
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
