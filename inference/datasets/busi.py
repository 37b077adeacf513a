"""BUSI breast ultrasound (Al-Dhabyani 2020, CC BY 4.0): three folders of PNGs, masks beside the images.

An image may have several masks (`_mask.png`, `_mask_1.png`, …): they are one outline each and are joined.
No patient ids exist; `split.csv` beside the tree gives near-duplicate groups, otherwise every image is its
own group, which the importer warns of. Known defects (Pawłowska et al. 2023, Data in Brief 48:109247): about
235 near-duplicates, 8 lesions in two classes, 70 axillae, 295 images with burned-in marks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from inference.datasets.notes import Notes, Trouble
from inference.datasets.sample import ULTRASOUND, DatasetError, Manifest, Sample
from inference.datasets.tables import by_key, table_rows

NAME = "busi"
LICENCE = "CC BY 4.0 (Al-Dhabyani et al. 2020)"
FOLDERS = ("benign", "malignant", "normal")
PUBLISHED = {"benign": 437, "malignant": 210, "normal": 133}
_FILE = re.compile(r"^(benign|malignant|normal) \((\d+)\)(?:_mask(?:_(\d+))?)?\.png$")


def read(root: Path) -> Manifest:
    """The samples under `root` (the folder that holds `Dataset_BUSI_with_GT`, or that folder itself).

    Raises
    ------
    DatasetError
        None of the three class folders is there.
    """
    tree = root / "Dataset_BUSI_with_GT" if (root / "Dataset_BUSI_with_GT").is_dir() else root
    if not any((tree / name).is_dir() for name in FOLDERS):
        raise DatasetError(f"no folder benign, malignant or normal under {tree.name}")
    notes = Notes()
    table = root / "split.csv"
    published = _published_split(table, notes)
    images: dict[str, Path] = {}
    masks: dict[str, list[Path]] = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((tree / folder).glob("*")):
            match = _FILE.match(path.name)
            if match is None or match[1] != folder:
                notes.warn(f"{folder}/{path.name}: not a name of this set, left out")
            elif "_mask" in path.name:
                masks[f"{folder} ({match[2]})"].append(path)
            else:
                images[f"{folder} ({match[2]})"] = path
    if not images:
        raise DatasetError(f"no image of this set in the class folders of {tree.name}")
    for stem in sorted(set(masks) - set(images)):
        notes.defect(Trouble.NO_IMAGE, masks[stem], f"{stem}: has a mask but no image")
    samples = []
    for stem, path in images.items():
        label = stem.split(" ")[0]
        if label != "normal" and stem not in masks:
            notes.defect(Trouble.NO_MASK, path, f"{stem}: {label} but has no mask")
        row = published.get(path.name)
        if published and row is None:
            notes.warn(f"{stem}: not in split.csv")
        if row and row.get("class", label) != label:
            notes.conflict((path, table), f"{path.name}: folder says {label}, split.csv says {row['class']}")
        samples.append(
            Sample(
                id=stem,
                dataset=NAME,
                discipline=ULTRASOUND,
                path=path,
                group_id=row["group"] if row else f"alone-{stem}",
                label=label,
                label_binary=None if label == "normal" else label == "malignant",
                split=row["split"] if row else None,
                masks=tuple(masks.get(stem, ())),
            )
        )
    for name in sorted(set(published) - {path.name for path in images.values()}):
        notes.warn(f"{name}: in split.csv, no file")
    if not published:
        notes.warn("no split.csv: near-duplicates are not grouped")
    manifest = Manifest(NAME, LICENCE, tuple(samples))
    notes.counts(NAME, manifest.counts, PUBLISHED)
    return Manifest.noted(NAME, LICENCE, samples, notes)


def clean(manifest: Manifest) -> Manifest:
    """Without the groups whose images stand in more than one class: what `raw` figures are compared with.
    It needs the groups of `split.csv`."""
    labels: dict[str, set[str]] = defaultdict(set)
    for sample in manifest.samples:
        labels[sample.group_id].add(sample.label)
    kept = tuple(sample for sample in manifest.samples if len(labels[sample.group_id]) == 1)
    sentence = f"{len(manifest.samples) - len(kept)} images of groups with contradictory labels left out"
    return Manifest(NAME, LICENCE, kept, (*manifest.warnings, sentence), manifest.defects)


def _published_split(table: Path, notes: Notes) -> dict[str, dict[str, str]]:
    if not table.is_file():
        return {}
    return by_key(table_rows(table, ("image", "group", "split"), notes), "image", table, notes)
