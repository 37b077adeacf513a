"""TMI 2015 nuclei tiles (Xu 2015): H&E at 40×, 2200×2200, nuclei as a binary mask or as centre points.

The archive is no longer hosted, so its file names are told by more than one convention: a mask has the
image's stem (in a folder `mask…`, or with `_mask` after the stem), points stand in `<stem>.csv`,
`<stem>.txt` or `<stem>.mat` as x, y.
"""

from __future__ import annotations

import re
from pathlib import Path

from inference.contract import Point
from inference.datasets.notes import Notes, Trouble
from inference.datasets.sample import HISTOPATHOLOGY, DatasetError, Manifest, Outline, Sample

NAME = "tmi2015"
LICENCE = "research use (Xu et al. 2015)"
PUBLISHED_IMAGES = 500
_IMAGE_ENDINGS = {".tif", ".tiff", ".png"}
_PATIENT = re.compile(r"^(?P<patient>\d+)[_-]")


def read(root: Path) -> Manifest:
    """Every image below `root` that is no mask. Images with neither mask nor points are kept and named.

    Raises
    ------
    DatasetError
        No image anywhere.
    """
    images: list[Path] = []
    masks: dict[str, Path] = {}
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in _IMAGE_ENDINGS):
        in_mask_folder = any(part.lower().startswith("mask") for part in path.relative_to(root).parts[:-1])
        if in_mask_folder or path.stem.lower().endswith("_mask"):
            masks[re.sub(r"_mask$", "", path.stem, flags=re.IGNORECASE)] = path
        else:
            images.append(path)
    if not images:
        raise DatasetError(f"no image under {root.name}")
    points = {p.stem: p for ending in ("csv", "txt", "mat") for p in sorted(root.rglob(f"*.{ending}"))}
    notes = Notes()
    samples = []
    for path in images:
        spots: tuple[Point, ...] = ()
        if path.stem in points:
            try:
                spots = _points(points[path.stem])
            except ValueError as error:
                notes.unreadable(points[path.stem], error)
        if path.stem not in masks and not spots:
            notes.defect(Trouble.NO_MASK, path, f"{path.name}: neither mask nor points")
        match = _PATIENT.match(path.stem)
        patient = match["patient"] if match else None
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                discipline=HISTOPATHOLOGY,
                path=path,
                group_id=patient or path.stem,
                patient_id=patient,
                label="nuclei",
                label_binary=None,
                magnification="40",
                masks=(masks[path.stem],) if path.stem in masks else (),
                outlines=tuple(Outline("nucleus", (spot,)) for spot in spots),
            )
        )
    for stem in sorted(set(masks) - {path.stem for path in images}):
        notes.defect(Trouble.NO_IMAGE, masks[stem], f"{masks[stem].name}: a mask without an image")
    notes.counts(NAME, {"nuclei": len(samples)}, {"nuclei": PUBLISHED_IMAGES})
    return Manifest.noted(NAME, LICENCE, samples, notes)


def _points(table: Path) -> tuple[Point, ...]:
    """`x, y` a line, separated by comma, semicolon or blanks, with one heading line allowed; or the first
    N×2 array of a MATLAB file.

    Raises
    ------
    ValueError
        What is wrong in a few words, with the number of the line.
    """
    if table.suffix == ".mat":
        return _matlab_points(table)
    found = []
    for number, line in enumerate(table.read_bytes().decode("latin-1").splitlines(), start=1):
        words = re.split(r"[,;\s]+", line.strip())
        try:
            found.append((float(words[0]), float(words[1])))
        except (ValueError, IndexError):
            if number > 1 and line.strip():
                raise ValueError(f"line {number} holds no two numbers") from None
    if not found:
        raise ValueError("no line holds two numbers")
    return tuple(found)


def _matlab_points(table: Path) -> tuple[Point, ...]:
    from scipy.io import loadmat

    try:
        content = loadmat(str(table))
    except Exception as error:  # the reader raises some ten types on malformed files
        raise ValueError(f"not a MATLAB file that is read here ({error})") from error
    for name, value in content.items():
        if not name.startswith("__") and getattr(value, "ndim", 0) == 2 and value.shape[1] == 2:
            return tuple((float(x), float(y)) for x, y in value)
    raise ValueError("no array of two columns")
