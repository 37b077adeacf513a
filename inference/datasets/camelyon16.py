"""CAMELYON16 lymph-node slides (CC0): `normal_001.tif`, `tumor_001.tif`, `test_001.tif` with ASAP outlines.

`test_114` is the known duplicate of the test set and is left out (129 remain).
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from xml.etree.ElementTree import ParseError

from inference.contract import Modality
from inference.datasets import asap
from inference.datasets.sample import DatasetError, Manifest, Outline, Sample, Split

NAME = "camelyon16"
LICENCE = "CC0 (Ehteshami Bejnordi et al. 2017)"
DUPLICATE = "test_114"
_FILE = re.compile(r"^(?P<part>normal|tumor|test)_(?P<number>\d{3})\.tif$", re.IGNORECASE)


def read(root: Path) -> Manifest:
    """The slides below `root`; test labels from `reference.csv` where it is, else from the outlines.

    Raises:
        DatasetError: no slide name anywhere.
    """
    warnings: list[str] = []
    annotations = {p.stem.lower(): p for p in root.rglob("*.xml")}
    reference = _reference(root)
    samples = []
    for path in sorted(root.rglob("*.tif")):
        match = _FILE.match(path.name)
        stem = path.stem.lower()
        if match is None:
            warnings.append(f"{path.relative_to(root)}: not a name of this set, left out")
            continue
        if stem == DUPLICATE:
            warnings.append(f"{path.name}: known duplicate in the test set, left out")
            continue
        outlines: tuple[Outline, ...] = ()
        if stem in annotations:
            try:
                outlines = asap.outlines(annotations[stem])
            except ParseError as error:
                warnings.append(f"{annotations[stem].name}: unreadable ({error})")
        label = {"normal": "normal", "tumor": "tumor"}.get(match["part"].lower()) or reference.get(
            stem, "tumor" if outlines else "unlabelled"
        )
        if label == "tumor" and not outlines:
            warnings.append(f"{path.name}: tumour slide without outlines")
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                modality=Modality.SLIDE_MICROSCOPY,
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
    return Manifest(NAME, LICENCE, tuple(samples), tuple(warnings))


def _reference(root: Path) -> dict[str, str]:
    for table in sorted(root.rglob("reference.csv")):
        with table.open(newline="", encoding="utf-8") as lines:
            return {
                row[0].lower().removesuffix(".tif"): row[1].strip().lower()
                for row in csv.reader(lines)
                if len(row) >= 2
            }
    return {}


def official(root: Path, manifest: Manifest) -> list[Split]:
    """The challenge's training and test slides."""
    train = [i for i, s in enumerate(manifest.samples) if s.split == "train"]
    test = [i for i, s in enumerate(manifest.samples) if s.split == "test"]
    return [Split.published("challenge", manifest.samples, train, test)]
