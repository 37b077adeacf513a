"""CAMELYON16 lymph-node slides (CC0): `normal_001.tif`, `tumor_001.tif`, `test_001.tif` with ASAP outlines.

`test_114` is the known duplicate of the test set and is left out (129 remain).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from inference.datasets import asap
from inference.datasets.notes import Notes, Trouble
from inference.datasets.sample import HISTOPATHOLOGY, DatasetError, Manifest, Outline, Sample, Split
from inference.datasets.tables import text_of

NAME = "camelyon16"
LICENCE = "CC0 (Ehteshami Bejnordi et al. 2017)"
DUPLICATE = "test_114"
PUBLISHED = {"train": 270, "test": 129}
_FILE = re.compile(r"^(?P<part>normal|tumor|test)_(?P<number>\d{3})\.tif$", re.IGNORECASE)


def read(root: Path) -> Manifest:
    """The slides below `root`; test labels from `reference.csv` where it is, else from the outlines.

    Raises
    ------
    DatasetError
        No slide name anywhere.
    """
    notes = Notes()
    annotations = {p.stem.lower(): p for p in root.rglob("*.xml")}
    reference = _reference(root, notes)
    samples = []
    for path in sorted(root.rglob("*.tif")):
        match = _FILE.match(path.name)
        stem = path.stem.lower()
        if match is None:
            notes.warn(f"{path.relative_to(root)}: not a name of this set, left out")
            continue
        if stem == DUPLICATE:
            notes.warn(f"{path.name}: known duplicate in the test set, left out")
            continue
        outlines: tuple[Outline, ...] = ()
        if stem in annotations:
            try:
                outlines = asap.outlines(annotations[stem])
            except ValueError as error:
                notes.unreadable(annotations[stem], error)
        label = {"normal": "normal", "tumor": "tumor"}.get(match["part"].lower()) or reference.get(
            stem, "tumor" if outlines else "unlabelled"
        )
        if label == "tumor" and not outlines:
            notes.defect(Trouble.NO_MASK, path, f"{path.name}: tumour slide without outlines")
        if label == "normal" and any(not outline.hole for outline in outlines):
            notes.conflict((path, annotations[stem]), f"{path.name}: a normal slide with tumour outlines")
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                discipline=HISTOPATHOLOGY,
                path=path,
                group_id=stem,
                label=label,
                label_binary=None if label == "unlabelled" else label == "tumor",
                split="test" if match["part"].lower() == "test" else "train",
                outlines=outlines,
            )
        )
    if not samples:
        raise DatasetError(f"no CAMELYON16 slide under {root.name}")
    for stem in sorted(set(annotations) - {sample.id.lower() for sample in samples} - {DUPLICATE}):
        notes.warn(f"{annotations[stem].name}: outlines without a slide")
    notes.counts(NAME, dict(Counter(s.split or "" for s in samples)), PUBLISHED, what="slides")
    return Manifest.noted(NAME, LICENCE, samples, notes)


def _reference(root: Path, notes: Notes) -> dict[str, str]:
    """Labels of the test slides by stem from `reference.csv` (`test_001,Normal,…`, no heading)."""
    labels: dict[str, str] = {}
    for table in sorted(root.rglob("reference.csv"))[:1]:
        for number, line in enumerate((text_of(table, notes) or "").splitlines(), start=1):
            words = [word.strip().lower() for word in line.split(",")]
            stem = words[0].removesuffix(".tif")
            if not any(words) or stem in {"image", "name", "slide"}:
                continue
            if len(words) < 2 or words[1] not in {"normal", "tumor"}:
                notes.unreadable(table, f"line {number} is not slide,normal or tumor")
            elif labels.setdefault(stem, words[1]) != words[1]:
                notes.conflict(table, f"{table.name}: {stem} is listed as {labels[stem]} and as {words[1]}")
    return labels


def official(root: Path, manifest: Manifest) -> list[Split]:
    """The challenge's training and test slides."""
    train = [i for i, s in enumerate(manifest.samples) if s.split == "train"]
    test = [i for i, s in enumerate(manifest.samples) if s.split == "test"]
    return [Split.published("challenge", manifest.samples, train, test)]
