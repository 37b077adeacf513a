"""BUS-BRA breast ultrasound (Gómez-Flores 2024): biopsy-proven masses of one Brazilian hospital on four scanners.

`Images/bus_0001-l.png` with its outline `Masks/mask_0001-l.png`, and one row an image in `bus_data.csv`: `ID, Case`
(the patient), `Histology, Pathology, BIRADS` (2 to 5, by a radiologist who knew no pathology), `Device, Width, Height,
Side, BBOX`. The images may as well be AVIF. `split.csv` beside them deals the patients to folds.

Traps. `Side` is no laterality: `l` and `r` are the two halves of one split screen, two views of one lesion, `s` is a
single one; which breast is shown is said nowhere. `BBOX` counts from 1 (`[x, y, width, height]`, as Matlab writes
it). Width and Height are not those of the file everywhere: the file counts. `split.csv` names the image files as they
were handed out, so that their endings may be others. There are no normal images.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from inference.contract import Box
from inference.datasets.notes import Notes, Trouble
from inference.datasets.pixels import AVIF, why_no_avif
from inference.datasets.sample import ULTRASOUND, DatasetError, Manifest, Sample, Split
from inference.datasets.tables import by_key, table_rows

NAME = "busbra"
LICENCE = "BUS-BRA's own: use, modify, distribute, cite (Gómez-Flores et al. 2024)"
TABLE, FOLDS = "bus_data.csv", "split.csv"
PUBLISHED = {"benign": 1268, "malignant": 607}
#: The assessments that the set's radiologist gave.
BIRADS = ("2", "3", "4", "5")
_FILE = re.compile(r"^bus_(\d{4}-[lrs])\.(png|avif)$", re.IGNORECASE)
_MASK = re.compile(r"^mask_(\d{4}-[lrs])\.png$", re.IGNORECASE)
_BOX = re.compile(r"^\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]$")
_COLUMNS = ("ID", "Case", "Pathology")
Row = Mapping[str, str]


def read(root: Path) -> Manifest:
    """The samples under `root` (the folder that holds `bus_data.csv`, or the one above it, `BUSBRA/`).

    Raises
    ------
    DatasetError
        No table, or no image of this set; or the images are AVIF and this installation reads none.
    """
    tree = root / "BUSBRA" if (root / "BUSBRA" / TABLE).is_file() else root
    table = tree / TABLE
    if not table.is_file() or not (tree / "Images").is_dir():
        raise DatasetError(f"no {TABLE} with a folder Images under {tree.name}")
    notes = Notes()
    images = _files(tree / "Images", _FILE, notes)
    masks = _files(tree / "Masks", _MASK, notes)
    if not images:
        raise DatasetError(f"no image of this set in {tree.name}/Images")
    if any(path.suffix.lower() == AVIF for path in images.values()) and (missing := why_no_avif()):
        raise DatasetError(f"the images of {tree.name} are AVIF: {missing}")
    rows = by_key(table_rows(table, _COLUMNS, notes), "ID", table, notes)
    folds = _folds(tree / FOLDS, notes)
    for key in sorted(set(masks) - set(images)):
        notes.defect(Trouble.NO_IMAGE, masks[key], f"{masks[key].name}: has a mask but no image")
    samples = []
    for key, path in images.items():
        row = rows.get(f"bus_{key}")
        if row is None:
            notes.warn(f"{path.name}: not in {TABLE}, left out")
            continue
        label = row["Pathology"].lower()
        if label not in PUBLISHED:
            notes.unreadable(table, f"{row['ID']} has the pathology {row['Pathology']!r}")
            continue
        if key not in masks:
            notes.defect(Trouble.NO_MASK, path, f"{path.name}: {label} but has no mask")
        samples.append(_sample(path, row, label, masks.get(key), folds.get(f"bus_{key}"), tree, notes))
    for name in sorted(set(rows) - {f"bus_{key}" for key in images}):
        notes.warn(f"{name}: in {TABLE}, no file")
    _tell_of_patients(samples, table, notes)
    notes.counts(NAME, Manifest(NAME, LICENCE, tuple(samples)).counts, PUBLISHED)
    return Manifest.noted(NAME, LICENCE, samples, notes)


def official(root: Path, manifest: Manifest) -> list[Split]:
    """A split for each fold of `split.csv`; none where the set came without it."""
    folds = sorted({sample.extra["fold"] for sample in manifest.samples if "fold" in sample.extra})
    splits = []
    for fold in folds:
        inside = [i for i, s in enumerate(manifest.samples) if s.extra.get("fold", fold) != fold]
        outside = [i for i, s in enumerate(manifest.samples) if s.extra.get("fold") == fold]
        splits.append(Split.published(f"fold {fold}", manifest.samples, inside, outside))
    return splits


def _files(folder: Path, grammar: re.Pattern[str], notes: Notes) -> dict[str, Path]:
    """The files of that grammar by `0001-l`; of an image that is there twice, the PNG."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        match = grammar.match(path.name)
        if match is None:
            notes.warn(f"{folder.name}/{path.name}: not a name of this set, left out")
        elif match[1].lower() in found:
            found[match[1].lower()] = path  # `.avif` sorts before `.png`
            notes.warn(f"{path.name}: there as AVIF too, which is left out")
        else:
            found[match[1].lower()] = path
    return found


def _folds(table: Path, notes: Notes) -> dict[str, Row]:
    """The rows of `split.csv` by the image's name without its ending."""
    if not table.is_file():
        notes.warn(f"no {FOLDS}: no folds are published with this tree")
        return {}
    rows = by_key(table_rows(table, ("image", "patient", "fold"), notes), "image", table, notes)
    return {Path(name).stem: row for name, row in rows.items()}


def _sample(
    path: Path, row: Row, label: str, mask: Path | None, fold: Row | None, tree: Path, notes: Notes
) -> Sample:
    patient, extra = row["Case"], {}
    if fold is not None:
        if fold["patient"] != patient:
            sentence = f"{path.name}: {TABLE} says patient {patient}, {FOLDS} {fold['patient']}"
            notes.conflict((tree / TABLE, tree / FOLDS), sentence)
        extra["fold"] = fold["fold"]
    for name, column in (("device", "Device"), ("histology", "Histology"), ("side", "Side")):
        if row.get(column):
            extra[name] = row[column]
    birads = row.get("BIRADS") or None
    if birads is not None and birads not in BIRADS:
        notes.warn(f"{path.name}: BI-RADS {birads} is none of {', '.join(BIRADS)}, left out")
        birads = None
    size = _size(path, notes)
    stated = (row.get("Width", ""), row.get("Height", ""))
    if size and all(stated) and stated != (str(size[0]), str(size[1])):
        notes.warn(f"{path.name}: {size[0]} × {size[1]} pixels, {TABLE} says {stated[0]} × {stated[1]}")
    return Sample(
        id=f"bus_{path.stem.removeprefix('bus_')}",
        dataset=NAME,
        discipline=ULTRASOUND,
        path=path,
        group_id=patient,
        patient_id=patient,
        label=label,
        label_binary=label == "malignant",
        birads=birads,
        masks=(mask,) if mask is not None else (),
        boxes=_boxes(path, row.get("BBOX", ""), size, notes),
        extra=extra,
    )


def _size(path: Path, notes: Notes) -> tuple[int, int] | None:
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        notes.unreadable(path, "not a picture" if isinstance(error, UnidentifiedImageError) else error)
        return None


def _boxes(path: Path, text: str, size: tuple[int, int] | None, notes: Notes) -> tuple[Box, ...]:
    if not text:
        return ()
    match = _BOX.match(text)
    x, y, width, height = (int(value) for value in match.groups()) if match else (0, 0, 0, 0)
    if min(x, y, width, height) < 1 or (size and (x - 1 + width > size[0] or y - 1 + height > size[1])):
        notes.warn(f"{path.name}: the box {text} is none in the image, left out")
        return ()
    return ((x - 1.0, y - 1.0, x - 1.0 + width, y - 1.0 + height),)


def _tell_of_patients(samples: list[Sample], table: Path, notes: Notes) -> None:
    """A patient of two pathologies, or in two folds, is told: the first may be so, the second leaks."""
    labels: dict[str, set[str]] = defaultdict(set)
    folds: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        labels[sample.group_id].add(sample.label)
        if "fold" in sample.extra:
            folds[sample.group_id].add(sample.extra["fold"])
    for patient, both in labels.items():
        if len(both) > 1:
            notes.conflict(table, f"patient {patient} is benign and malignant")
    for patient, several in folds.items():
        if len(several) > 1:
            notes.warn(f"patient {patient} stands in the folds {', '.join(sorted(several))} of {FOLDS}")
