"""BACH / ICIAR 2018 (Aresta 2019, CC BY-NC-ND 4.0): 400 H&E photographs of four classes, and whole slides
with outlined regions. Derived tiles may not be passed on.

Patient ids exist only in a side file of the challenge. The offline split is the patient-aware one of the eva
benchmark, given as ranges over the canonical list of 400 names.
"""

from __future__ import annotations

import re
from pathlib import Path

from inference.datasets import asap
from inference.datasets.notes import Notes
from inference.datasets.sample import HISTOPATHOLOGY, DatasetError, Manifest, Outline, Sample, Split
from inference.datasets.tables import text_of

NAME = "bach"
LICENCE = "CC BY-NC-ND 4.0 (Aresta et al. 2019): no derived tiles"
UM_PER_PX = 0.42
#: in the order of the challenge's score: normal 0, benign 1, in situ 2, invasive 3
CLASSES = {"Normal": "n", "Benign": "b", "InSitu": "is", "Invasive": "iv"}
PUBLISHED = dict.fromkeys(CLASSES, 100)
PUBLISHED_OUTLINED = 10
_FILE = re.compile(r"^(?P<prefix>n|b|is|iv)(?P<number>\d{3})\.tiff?$")
_TEST_FILE = re.compile(r"^test\d+\.tiff?$")
#: eva's half-open ranges over the names sorted by class folder, then number
_EVA_VALIDATION = ((41, 59), (60, 90), (139, 169), (240, 258), (260, 273), (345, 368))
_REGION_LABELS = (("benign", "benign"), ("situ", "in_situ"), ("invasive", "invasive"))


def read(root: Path) -> Manifest:
    """Photographs of `Photos/` and slides of `WSI/`, with `root` the challenge's folder.

    A slide with an XML file beside it carries its regions as outlines; without one its label is `unlabelled`.

    Raises
    ------
    DatasetError
        Neither `Photos` nor `WSI` is there.
    """
    if not (root / "Photos").is_dir() and not (root / "WSI").is_dir():
        raise DatasetError(f"no folder Photos or WSI under {root.name}")
    notes = Notes()
    photos = _photographs(root / "Photos", notes)
    slides = _slides(root / "WSI", notes)
    if not photos and not slides:
        raise DatasetError(f"no photograph or slide of this set under {root.name}")
    if photos:
        notes.counts(NAME, Manifest(NAME, LICENCE, tuple(photos)).counts, PUBLISHED)
    if slides:
        outlined = sum(1 for slide in slides if slide.outlines)
        notes.counts(NAME, {"outlined": outlined}, {"outlined": PUBLISHED_OUTLINED}, what="slides")
    return Manifest.noted(NAME, LICENCE, (*photos, *slides), notes)


def _photographs(folder: Path, notes: Notes) -> list[Sample]:
    if not folder.is_dir():
        return []
    notes.warn("no patient ids in the archive: use the official split, which is patient-aware")
    truth = folder / "microscopy_ground_truth.csv"
    stated = _ground_truth(truth, notes)
    samples = []
    for label, prefix in CLASSES.items():
        for path in sorted((folder / label).glob("*")):
            match = _FILE.match(path.name)
            if match is None or match["prefix"] != prefix:
                notes.warn(f"{label}/{path.name}: not a name of this class, left out")
                continue
            if stated.get(path.name, label) != label:
                notes.conflict(
                    (path, truth), f"{path.name}: folder says {label}, ground truth says {stated[path.name]}"
                )
            samples.append(_photograph(path, label))
    for name in sorted(set(stated) - {sample.path.name for sample in samples}):
        notes.warn(f"{name}: in the ground truth, no file")
    # The challenge's own test images came without labels.
    tests = sorted(path for path in folder.glob("*") if _TEST_FILE.match(path.name))
    return [*samples, *(_photograph(path, "unlabelled") for path in tests)]


def _photograph(path: Path, label: str) -> Sample:
    return Sample(
        id=path.stem,
        dataset=NAME,
        discipline=HISTOPATHOLOGY,
        path=path,
        group_id=path.stem,
        label=label,
        label_binary=None if label == "unlabelled" else label in {"InSitu", "Invasive"},
        magnification="200",
        spacing_um=UM_PER_PX,
    )


def _ground_truth(truth: Path, notes: Notes) -> dict[str, str]:
    """Class by file name from the table without heading (`n001.tif,Normal`)."""
    if not truth.is_file():
        return {}
    stated: dict[str, str] = {}
    for number, line in enumerate((text_of(truth, notes) or "").splitlines(), start=1):
        name, _, label = (part.strip() for part in line.partition(","))
        label = label.replace(" ", "")
        if not line.strip():
            continue
        if label not in CLASSES:
            notes.unreadable(truth, f"line {number} is not name,class")
        elif stated.setdefault(name, label) != label:
            notes.conflict(truth, f"{truth.name}: {name} is listed as {stated[name]} and as {label}")
    return stated


def _slides(folder: Path, notes: Notes) -> list[Sample]:
    samples = []
    slides = sorted(folder.glob("*.svs")) if folder.is_dir() else []
    for path in slides:
        outlines: tuple[Outline, ...] = ()
        annotation = path.with_suffix(".xml")
        if annotation.is_file():
            try:
                outlines = regions(annotation)
            except ValueError as error:
                notes.unreadable(annotation, error)
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                discipline=HISTOPATHOLOGY,
                path=path,
                group_id=f"slide-{path.stem}",
                label="outlined" if outlines else "unlabelled",
                label_binary=None,
                outlines=outlines,
            )
        )
    for annotation in sorted(folder.glob("*.xml")) if folder.is_dir() else []:
        if annotation.with_suffix(".svs") not in slides:
            notes.warn(f"{annotation.name}: outlines without a slide")
    return samples


def regions(annotation: Path) -> tuple[Outline, ...]:
    """The regions of an Aperio XML file in level-0 pixels, labelled benign, in_situ or invasive.

    Raises
    ------
    ValueError
        Not such a file; what is wrong in a few words.
    """
    outlines = []
    for region in asap.xml_root(annotation).iter("Region"):
        words = " ".join(
            [region.get("Text", ""), *(item.get("Value", "") for item in region.iter("Attribute"))]
        ).lower()
        label = next((name for word, name in _REGION_LABELS if word in words), "unknown")
        points = tuple((asap.number(v, "X"), asap.number(v, "Y")) for v in region.iter("Vertex"))
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
