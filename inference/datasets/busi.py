"""BUSI breast ultrasound (Al-Dhabyani 2020, CC BY 4.0): three folders of PNGs, masks beside the images.

An image may have several masks (`_mask.png`, `_mask_1.png`, …): they are one outline each and are joined.
No patient ids exist; `split.csv` beside the tree gives near-duplicate groups, otherwise every image is its
own group, which the importer warns of.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from inference.contract import Modality
from inference.datasets.sample import DatasetError, Manifest, Sample, expected_counts

NAME = "busi"
LICENCE = "CC BY 4.0 (Al-Dhabyani et al. 2020)"
CLASSES = ("benign", "malignant", "normal")
PUBLISHED = {"benign": 437, "malignant": 210, "normal": 133}
_FILE = re.compile(r"^(benign|malignant|normal) \((\d+)\)(?:_mask(?:_(\d+))?)?\.png$")


def read(root: Path) -> Manifest:
    """The samples under `root` (the folder that holds `Dataset_BUSI_with_GT`, or that folder itself).

    Raises:
        DatasetError: none of the three class folders is there.
    """
    tree = root / "Dataset_BUSI_with_GT" if (root / "Dataset_BUSI_with_GT").is_dir() else root
    if not any((tree / name).is_dir() for name in CLASSES):
        raise DatasetError(f"no folder benign, malignant or normal under {tree.name}")
    published = _published_split(root)
    warnings: list[str] = []
    images: dict[str, Path] = {}
    masks: dict[str, list[Path]] = {}
    for folder in CLASSES:
        for path in sorted((tree / folder).glob("*")):
            match = _FILE.match(path.name)
            if match is None or match[1] != folder:
                warnings.append(f"{folder}/{path.name}: not a name of this set, left out")
            elif "_mask" in path.name:
                masks.setdefault(f"{folder} ({match[2]})", []).append(path)
            else:
                images[f"{folder} ({match[2]})"] = path
    warnings += [f"{stem}: has a mask but no image" for stem in sorted(set(masks) - set(images))]
    samples = []
    for stem, path in images.items():
        label = stem.split(" ")[0]
        if label != "normal" and stem not in masks:
            warnings.append(f"{stem}: {label} but has no mask")
        group, split = published.get(path.name, (f"alone-{stem}", None))
        if published and split is None:
            warnings.append(f"{stem}: not in split.csv")
        samples.append(
            Sample(
                id=stem,
                dataset=NAME,
                modality=Modality.ULTRASOUND,
                path=path,
                group_id=group,
                label=label,
                label_binary=None if label == "normal" else label == "malignant",
                split=split,
                masks=tuple(masks.get(stem, ())),
            )
        )
    if not published:
        warnings.append("no split.csv: near-duplicates are not grouped")
    manifest = Manifest(NAME, LICENCE, tuple(samples))
    return Manifest(
        NAME, LICENCE, manifest.samples, (*warnings, *expected_counts(NAME, manifest.counts, PUBLISHED))
    )


def _published_split(root: Path) -> dict[str, tuple[str, str]]:
    table = root / "split.csv"
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as lines:
        return {row["image"]: (row["group"], row["split"]) for row in csv.DictReader(lines)}
