"""BACH / ICIAR 2018 (Aresta 2019, CC BY-NC-ND 4.0): 400 H&E photographs of four classes, and whole slides
with outlined regions. Derived tiles may not be passed on.

Patient ids exist only in a side file of the challenge. The offline split is the patient-aware one of the eva
benchmark, given as ranges over the canonical list of 400 names.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from xml.etree.ElementTree import ParseError

from defusedxml import ElementTree

from inference.contract import Modality
from inference.datasets.sample import DatasetError, Manifest, Outline, Sample, Split, expected_counts

NAME = "bach"
LICENCE = "CC BY-NC-ND 4.0 (Aresta et al. 2019): no derived tiles"
UM_PER_PX = 0.42
#: in the order of the challenge's score: normal 0, benign 1, in situ 2, invasive 3
CLASSES = {"Normal": "n", "Benign": "b", "InSitu": "is", "Invasive": "iv"}
PUBLISHED = dict.fromkeys(CLASSES, 100)
_FILE = re.compile(r"^(?P<prefix>n|b|is|iv)(?P<number>\d{3})\.tiff?$")
#: eva's half-open ranges over the names sorted by class folder, then number
_EVA_VALIDATION = ((41, 59), (60, 90), (139, 169), (240, 258), (260, 273), (345, 368))
_REGION_LABELS = (("benign", "benign"), ("situ", "in_situ"), ("invasive", "invasive"))


def read(root: Path) -> Manifest:
    """Photographs of `Photos/` and slides of `WSI/`, with `root` the challenge's folder.

    A slide with an XML file beside it carries its regions as outlines; without one its label is `unlabelled`.

    Raises:
        DatasetError: neither `Photos` nor `WSI` is there.
    """
    if not (root / "Photos").is_dir() and not (root / "WSI").is_dir():
        raise DatasetError(f"no folder Photos or WSI under {root.name}")
    photos, warnings = _photographs(root / "Photos") if (root / "Photos").is_dir() else ([], [])
    slides, slide_warnings = _slides(root / "WSI") if (root / "WSI").is_dir() else ([], [])
    counts = Manifest(NAME, LICENCE, tuple(photos)).counts
    return Manifest(
        NAME,
        LICENCE,
        (*photos, *slides),
        (*warnings, *slide_warnings, *(expected_counts(NAME, counts, PUBLISHED) if photos else ())),
    )


def _photographs(folder: Path) -> tuple[list[Sample], list[str]]:
    warnings = ["no patient ids in the archive: use the official split, which is patient-aware"]
    truth = folder / "microscopy_ground_truth.csv"
    told: dict[str, str] = {}
    if truth.is_file():
        with truth.open(newline="", encoding="utf-8") as lines:
            told = {row[0]: row[1].replace(" ", "") for row in csv.reader(lines) if len(row) >= 2}
    samples = []
    for label, prefix in CLASSES.items():
        for path in sorted((folder / label).glob("*")):
            match = _FILE.match(path.name)
            if match is None or match["prefix"] != prefix:
                warnings.append(f"{label}/{path.name}: not a name of this class, left out")
                continue
            if told.get(path.name, label) != label:
                warnings.append(f"{path.name}: folder says {label}, ground truth says {told[path.name]}")
            samples.append(
                Sample(
                    id=path.stem,
                    dataset=NAME,
                    modality=Modality.SLIDE_MICROSCOPY,
                    path=path,
                    group_id=path.stem,
                    label=label,
                    label_binary=label in {"InSitu", "Invasive"},
                    magnification="200",
                    spacing_um=UM_PER_PX,
                )
            )
    return samples, warnings


def _slides(folder: Path) -> tuple[list[Sample], list[str]]:
    samples, warnings = [], []
    for path in sorted(folder.glob("*.svs")):
        outlines: tuple[Outline, ...] = ()
        annotation = path.with_suffix(".xml")
        if annotation.is_file():
            try:
                outlines = regions(annotation)
            except ParseError as error:
                warnings.append(f"{annotation.name}: unreadable ({error})")
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                modality=Modality.SLIDE_MICROSCOPY,
                path=path,
                group_id=f"slide-{path.stem}",
                label="outlined" if outlines else "unlabelled",
                label_binary=None,
                outlines=outlines,
            )
        )
    return samples, warnings


def regions(annotation: Path) -> tuple[Outline, ...]:
    """The regions of an Aperio XML file in level-0 pixels, labelled benign, in_situ or invasive.

    Raises:
        xml.etree.ElementTree.ParseError: not XML.
    """
    outlines = []
    for region in ElementTree.parse(annotation).iter("Region"):
        words = " ".join(
            [region.get("Text", ""), *(item.get("Value", "") for item in region.iter("Attribute"))]
        ).lower()
        label = next((name for word, name in _REGION_LABELS if word in words), "unknown")
        points = tuple((float(v.get("X", 0)), float(v.get("Y", 0))) for v in region.iter("Vertex"))
        if points:
            outlines.append(Outline(label, points))
    return tuple(outlines)


def official(root: Path, manifest: Manifest) -> list[Split]:
    """The patient-aware split of eva over the photographs that exist: 268 to train, 132 to validate when
    all 400 do. The challenge's own test labels are hidden."""
    order = [f"{CLASSES[label]}{n:03d}" for label in sorted(CLASSES) for n in range(1, 101)]
    validation = {order[i] for start, end in _EVA_VALIDATION for i in range(start, end)}
    photographs = {sample.id: i for i, sample in enumerate(manifest.samples) if sample.id in set(order)}
    return [
        Split.published(
            "eva",
            manifest.samples,
            [i for name, i in photographs.items() if name not in validation],
            [i for name, i in photographs.items() if name in validation],
        )
    ]
