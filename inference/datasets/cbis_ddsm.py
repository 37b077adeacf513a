"""CBIS-DDSM (Lee 2017, CC BY 3.0): film mammograms with curated masks, described by four CSV files.

The woman is `P_00001`; the DICOM PatientID is one a view. A film has a row an abnormality: it is malignant
if any row is. Downloads differ in their folders, so files are found by SeriesInstanceUID (the last folder
but the file in a described path), and crops and masks, whose paths are swapped in some rows, are told apart
by content. 78 or so women are in the mass and the calcification subset: across subsets the test side wins.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from imaging.errors import ImagingError
from inference.datasets.notes import Notes, Trouble
from inference.datasets.sample import MAMMOGRAPHY, DatasetError, Manifest, Sample, Split
from inference.datasets.tables import table_rows

NAME = "cbis_ddsm"
LICENCE = "CC BY 3.0 (Lee et al. 2017)"
TABLES = {
    "mass_case_description_train_set.csv": "train",
    "mass_case_description_test_set.csv": "test",
    "calc_case_description_train_set.csv": "train",
    "calc_case_description_test_set.csv": "test",
}
PUBLISHED_ROWS = {"mass/train": 1318, "mass/test": 378, "calc/train": 1546, "calc/test": 326}
PATHOLOGIES = ("BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT")
#: SeriesDescription of a whole film
FILM = "full mammogram images"
UID_ROOT = "1.3.6.1.4.1.9590."
_NEEDED = ("patient_id", "image view", "abnormality id", "abnormality type", "pathology", "image file path")
Row = dict[str, str]


def read(root: Path) -> Manifest:
    """One sample a full film. Where the tree holds no pixels at all, samples name the described paths and one
    warning says so; where it holds some, films without a file are left out and named.

    Raises
    ------
    DatasetError
        None of the four tables is there.
    """
    notes = Notes()
    rows = _rows(root, notes)
    files = _series_files(root, notes)
    described_as = _descriptions(root, notes)
    if not files:
        notes.warn("descriptions only: no DICOM or JPEG files below the tables")
    films: dict[tuple[str, str], list[Row]] = defaultdict(list)
    sides: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        films[row["subset"], row["image file path"]].append(row)
        sides[row["patient_id"]].add(row["part"])
    samples = []
    for (subset, described), lesions in films.items():
        path, first = root / described, lesions[0]
        name = Path(described).parts[0]
        if files:
            found = files.get(_series(described), [])
            if not found:
                notes.warn(f"{name}: film described, no file of its series")
                continue
            path = next((p for p in found if described_as.get(p.parts[-2:], FILM) == FILM), found[0])
        malignant = any(row["pathology"] == "MALIGNANT" for row in lesions)
        samples.append(
            Sample(
                id=name,
                dataset=NAME,
                discipline=MAMMOGRAPHY,
                path=path,
                group_id=first["patient_id"],
                patient_id=first["patient_id"],
                label="malignant" if malignant else "benign",
                label_binary=malignant,
                laterality={"LEFT": "L", "RIGHT": "R"}.get(first.get("left or right breast", "")),
                view=first["image view"],
                density=first["density"],
                birads="|".join(sorted({row.get("assessment", "") for row in lesions})),
                split="test" if "test" in sides[first["patient_id"]] else "train",
                masks=_masks(name, path, lesions, files, notes),
                extra={
                    "subset": subset,
                    "part": first["part"],
                    "pathology": "|".join(sorted({row["pathology"] for row in lesions})),
                    "subtlety": "|".join(sorted({row.get("subtlety", "") for row in lesions})),
                },
            )
        )
    both = sum(1 for parts in sides.values() if len(parts) == 2)
    if both:
        notes.warn(f"{both} women stand in train and test of different subsets; the test side wins")
    return Manifest.noted(NAME, LICENCE, samples, notes)


def _rows(root: Path, notes: Notes) -> list[Row]:
    """Rows of all tables, each lesion once. The subset comes from the row itself: copies of the set exist
    whose calcification tables hold the masses too."""
    rows: dict[tuple[str, str, str], Row] = {}
    repeated = 0
    for name, part in TABLES.items():
        table = next(iter(sorted(root.rglob(name))), None)
        if table is None:
            notes.warn(f"{name} is missing")
            continue
        for line, raw in table_rows(table, _NEEDED, notes):
            if raw["pathology"] not in PATHOLOGIES:
                notes.unreadable(table, f"line {line}: {raw['pathology']} is no pathology")
                continue
            subset = "mass" if raw["abnormality type"] == "mass" else "calc"
            # The mass tables write breast_density, the calcification tables breast density.
            density = raw.get("breast_density") or raw.get("breast density") or ""
            key = (raw["image file path"], raw["abnormality id"], subset)
            repeated += key in rows
            row = rows.setdefault(key, {**raw, "density": density, "subset": subset, "part": part})
            if row["pathology"] != raw["pathology"]:
                film = Path(raw["image file path"]).parts[0]
                notes.conflict(
                    table,
                    f"{table.name}: line {line} calls lesion {raw['abnormality id']} of {film}"
                    f" {raw['pathology']}, another row {row['pathology']}",
                )
    if not rows:
        raise DatasetError(f"none of the four description tables is under {root.name}")
    if repeated:
        notes.warn(f"{repeated} rows stand in more than one table and count once")
    counts = Counter(f"{row['subset']}/{row['part']}" for row in rows.values())
    notes.counts(NAME, dict(counts), PUBLISHED_ROWS, what="rows")
    return list(rows.values())


def _series(described: str) -> str:
    parts = Path(described).parts
    return parts[-2] if len(parts) >= 2 else ""


def _series_files(root: Path, notes: Notes) -> dict[str, list[Path]]:
    """Pixel files by SeriesInstanceUID: from the folder's name, else from the DICOM header (newer downloads
    name folders by date)."""
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in {".dcm", ".jpg", ".jpeg"}):
        series = path.parent.name
        if not series.startswith(UID_ROOT) and path.suffix.lower() == ".dcm":
            try:
                series = _header_series(path)
            except ValueError as error:
                notes.unreadable(path, error)
                continue
        files[series].append(path)
    return dict(files)


def _descriptions(root: Path, notes: Notes) -> dict[tuple[str, ...], str]:
    """SeriesDescription by (series, file name), from the table of the Kaggle mirror where it is."""
    found = {}
    for table in sorted(root.rglob("dicom_info.csv"))[:1]:
        for _, row in table_rows(table, ("image_path",), notes):
            found[Path(row["image_path"]).parts[-2:]] = row.get("SeriesDescription") or FILM
    return found


def _header_series(path: Path) -> str:
    from pydicom import dcmread

    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        return str(header.SeriesInstanceUID)
    except Exception as error:  # pydicom raises many types on malformed files
        raise ValueError(f"no DICOM header with a series: {error}") from error


def _masks(
    name: str, film: Path, lesions: list[Row], files: dict[str, list[Path]], notes: Notes
) -> tuple[Path, ...]:
    """The mask of each lesion: of the files that its two paths name, the one with at most two grey values."""
    masks: list[Path] = []
    for row in lesions if files else ():
        candidates = {
            path
            for column in ("ROI mask file path", "cropped image file path")
            for path in files.get(_series(row.get(column, "")), ())
        }
        binary = []
        for path in sorted(candidates):
            try:
                if is_mask(path):
                    binary.append(path)
            except ImagingError as error:
                notes.unreadable(path, error.reason)
        if binary:
            masks.append(binary[0])
        else:
            notes.defect(
                Trouble.NO_MASK, film, f"{name}: no file of lesion {row['abnormality id']} is a mask"
            )
    return tuple(dict.fromkeys(masks))


def is_mask(path: Path) -> bool:
    """Whether the picture holds at most two grey values. In JPEG mirrors edges ring: there 95 % of the pixels
    must lie within 32 of black or white, and some at each end.

    Raises
    ------
    imaging.errors.ImagingError
        It cannot be decoded.
    """
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
