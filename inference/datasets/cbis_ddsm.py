"""CBIS-DDSM (Lee 2017, CC BY 3.0): film mammograms with curated masks, described by four CSV files.

The woman is `P_00001`; the DICOM PatientID is one a view. A film has a row an abnormality: it is malignant
if any row is. Downloads differ in their folders, so files are found by SeriesInstanceUID (the last folder
but the file in a described path), and crops and masks, whose paths are swapped in some rows, are told apart
by content. 78 or so women are in the mass and the calcification subset: across subsets the test side wins.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

from inference.contract import Modality
from inference.datasets.sample import DatasetError, Manifest, Sample, Split, expected_counts

NAME = "cbis_ddsm"
LICENCE = "CC BY 3.0 (Lee et al. 2017)"
TABLES = {
    "mass_case_description_train_set.csv": "train",
    "mass_case_description_test_set.csv": "test",
    "calc_case_description_train_set.csv": "train",
    "calc_case_description_test_set.csv": "test",
}
PUBLISHED_ROWS = {"mass/train": 1318, "mass/test": 378, "calc/train": 1546, "calc/test": 326}
Row = dict[str, str]


def read(root: Path) -> Manifest:
    """One sample a full film. Where the tree holds no pixels at all, samples name the described paths and one
    warning says so; where it holds some, films without a file are left out and named.

    Raises:
        DatasetError: none of the four tables is there.
    """
    rows, warnings = _rows(root)
    files = _series_files(root)
    if not files:
        warnings.append("descriptions only: no DICOM or JPEG files below the tables")
    films: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        films[row["subset"], row["image file path"]].append(row)
    sides: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        sides[row["patient_id"]].add(row["part"])
    samples = []
    for (subset, described), lesions in films.items():
        path, first = root / described, lesions[0]
        if files:
            found = files.get(_series(described), [])
            if not found:
                warnings.append(f"{Path(described).parts[0]}: film described, no file of its series")
                continue
            path = found[0]
        malignant = any(row["pathology"] == "MALIGNANT" for row in lesions)
        masks, complaints = _masks(lesions, files)
        warnings += complaints
        samples.append(
            Sample(
                id=Path(described).parts[0],
                dataset=NAME,
                modality=Modality.MAMMOGRAPHY,
                path=path,
                group_id=first["patient_id"],
                patient_id=first["patient_id"],
                label="malignant" if malignant else "benign",
                label_binary=malignant,
                laterality={"LEFT": "L", "RIGHT": "R"}.get(first["left or right breast"]),
                view=first["image view"],
                density=first["density"],
                birads="|".join(sorted({row["assessment"] for row in lesions})),
                split="test" if "test" in sides[first["patient_id"]] else "train",
                masks=masks,
                extra={
                    "subset": subset,
                    "part": first["part"],
                    "pathology": "|".join(sorted({row["pathology"] for row in lesions})),
                    "subtlety": "|".join(sorted({row["subtlety"] for row in lesions})),
                },
            )
        )
    both = sum(1 for parts in sides.values() if len(parts) == 2)
    if both:
        warnings.append(f"{both} women stand in train and test of different subsets; the test side wins")
    return Manifest(NAME, LICENCE, tuple(samples), tuple(warnings))


def _rows(root: Path) -> tuple[list[Row], list[str]]:
    """Rows of all tables, each lesion once. The subset comes from the row itself: copies of the set exist
    whose calcification tables hold the masses too."""
    rows: dict[tuple[str, str, str], Row] = {}
    warnings: list[str] = []
    repeated = 0
    for name, part in TABLES.items():
        table = next(iter(sorted(root.rglob(name))), None)
        if table is None:
            warnings.append(f"{name} is missing")
            continue
        with table.open(newline="", encoding="utf-8") as lines:
            for raw in csv.DictReader(lines):
                row = {key: (value or "").strip() for key, value in raw.items() if key}
                subset = "mass" if row["abnormality type"] == "mass" else "calc"
                # The mass tables write breast_density, the calcification tables breast density.
                density = row.get("breast_density") or row.get("breast density") or ""
                key = (row["image file path"], row["abnormality id"], subset)
                repeated += key in rows
                rows.setdefault(key, {**row, "density": density, "subset": subset, "part": part})
    if not rows:
        raise DatasetError(f"none of the four description tables is under {root.name}")
    if repeated:
        warnings.append(f"{repeated} rows stand in more than one table and count once")
    counts = Counter(f"{row['subset']}/{row['part']}" for row in rows.values())
    warnings += expected_counts(NAME, dict(counts), PUBLISHED_ROWS, what="rows")
    return list(rows.values()), warnings


def _series(described: str) -> str:
    parts = Path(described).parts
    return parts[-2] if len(parts) >= 2 else ""


def _series_files(root: Path) -> dict[str, list[Path]]:
    """Pixel files by SeriesInstanceUID: from the folder's name, else from the DICOM header (newer downloads
    name folders by date)."""
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in {".dcm", ".jpg", ".jpeg"}):
        series = path.parent.name
        if not series.startswith("1.3.6.1.4.1.9590.") and path.suffix.lower() == ".dcm":
            series = _header_series(path) or series
        files[series].append(path)
    return dict(files)


def _header_series(path: Path) -> str | None:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        return str(
            dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"]).SeriesInstanceUID
        )
    except (InvalidDicomError, AttributeError, OSError):
        return None


def _masks(lesions: list[Row], files: dict[str, list[Path]]) -> tuple[tuple[Path, ...], list[str]]:
    """The mask of each lesion: of the files that its two paths name, the one with at most two grey values."""
    masks: list[Path] = []
    warnings = []
    if not files:
        return (), []
    for row in lesions:
        candidates = {
            path
            for column in ("ROI mask file path", "cropped image file path")
            for path in files.get(_series(row.get(column, "")), ())
        }
        binary = [path for path in sorted(candidates) if is_mask(path)]
        if binary:
            masks.append(binary[0])
        elif candidates:
            film, lesion = Path(row["image file path"]).parts[0], row["abnormality id"]
            warnings.append(f"{film}: no file of lesion {lesion} is a mask")
    return tuple(dict.fromkeys(masks)), warnings


def is_mask(path: Path) -> bool:
    """Whether the picture holds at most two grey values. In JPEG mirrors edges ring: there 95 % of the pixels
    must lie within 32 of black or white, and some at each end."""
    import numpy as np

    from imaging import reader

    grey = reader.read(path).values
    if path.suffix.lower() == ".dcm":
        return len(np.unique(grey)) <= 2
    black, white = grey <= 32, grey >= 223
    return bool((black | white).mean() > 0.95 and black.any() and white.any())


def official(root: Path, manifest: Manifest) -> list[Split]:
    """The published train and test, one split a subset, and one over both with the test side winning."""
    splits = []
    for subset in ("mass", "calc"):
        chosen = [i for i, s in enumerate(manifest.samples) if s.extra["subset"] == subset]
        train = [i for i in chosen if manifest.samples[i].extra["part"] == "train"]
        test = [i for i in chosen if manifest.samples[i].extra["part"] == "test"]
        splits.append(Split.published(subset, manifest.samples, train, test))
    train = [i for i, s in enumerate(manifest.samples) if s.split == "train"]
    test = [i for i, s in enumerate(manifest.samples) if s.split == "test"]
    return [*splits, Split.published("both", manifest.samples, train, test)]
