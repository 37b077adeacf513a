"""Bioimaging 2015 H&E photographs (Araújo 2017): 2048×1536 TIFF at 0.42 µm/px, four classes.

249 to train, 20 in the initial test and 16 in the extended one. No patient ids exist: every image is its own
group, which the importer warns of.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from inference.datasets.notes import Notes
from inference.datasets.sample import HISTOPATHOLOGY, DatasetError, Manifest, Sample, Split

NAME = "bioimaging2015"
LICENCE = "research use, ask the authors (INESC TEC; Araújo et al. 2017)"
UM_PER_PX = 0.42
#: class folder → prefix of its file names
CLASSES = {"Normal": "n", "Benign": "b", "InSitu": "is", "Invasive": "iv"}
PUBLISHED_TRAIN = {"Normal": 55, "Benign": 69, "InSitu": 63, "Invasive": 62}
PUBLISHED_TESTS = {"test": 20, "extended_test": 16}
PARTS = {"Training_data": "train", "Test_data": "test", "Extended_Test_data": "extended_test"}
_FILE = re.compile(r"^(?P<prefix>n|b|is|iv)\d+\.tiff?$", re.IGNORECASE)


def read(root: Path) -> Manifest:
    """Images below the three part folders; the class comes from the folder, else from the name's prefix.

    Raises
    ------
    DatasetError
        None of the part folders is there.
    """
    parts = {folder: part for folder, part in PARTS.items() if (root / folder).is_dir()}
    if not parts:
        raise DatasetError(f"no folder {', '.join(PARTS)} under {root.name}")
    prefixes = {prefix: name for name, prefix in CLASSES.items()}
    folders = {name.lower(): name for name in CLASSES}
    notes = Notes()
    notes.warn("no patient ids: images of one woman may stand on both sides of a split")
    samples = []
    for folder, part in parts.items():
        for path in sorted(file for file in (root / folder).rglob("*") if file.is_file()):
            name = str(path.relative_to(root))
            match = _FILE.match(path.name)
            by_folder = folders.get(path.parent.name.lower())
            by_prefix = prefixes[match["prefix"].lower()] if match else None
            label = by_folder or by_prefix
            if label is None or path.suffix.lower() not in {".tif", ".tiff"}:
                notes.warn(f"{name}: class not told by folder or name, left out")
                continue
            if by_folder and by_prefix and by_folder != by_prefix:
                notes.conflict(
                    path, f"{name}: folder says {by_folder}, name says {by_prefix}; the folder counts"
                )
            samples.append(
                Sample(
                    id=f"{part}/{path.stem}",
                    dataset=NAME,
                    discipline=HISTOPATHOLOGY,
                    path=path,
                    group_id=f"{part}/{path.stem}",
                    label=label,
                    label_binary=label in {"InSitu", "Invasive"},
                    magnification="200",
                    split=part,
                    spacing_um=UM_PER_PX,
                )
            )
    if not samples:
        raise DatasetError(f"no TIFF image of a known class under {root.name}")
    train = Manifest(NAME, LICENCE, tuple(s for s in samples if s.split == "train")).counts
    notes.counts(f"{NAME} train", train, PUBLISHED_TRAIN)
    tests = Counter(sample.split or "" for sample in samples)
    notes.counts(NAME, dict(tests), PUBLISHED_TESTS)
    return Manifest.noted(NAME, LICENCE, samples, notes)


def official(root: Path, manifest: Manifest) -> list[Split]:
    """Initial test (20 images) and overall test (initial and extended, 36). One image is 2.8 points of 36."""
    indices: dict[str, list[int]] = {}
    for number, sample in enumerate(manifest.samples):
        indices.setdefault(sample.split or "", []).append(number)
    train, test = indices.get("train", []), indices.get("test", [])
    return [
        Split.published("initial", manifest.samples, train, test),
        Split.published("overall", manifest.samples, train, test + indices.get("extended_test", [])),
    ]
