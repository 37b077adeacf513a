"""TMI 2015 nuclei tiles (Xu 2015): H&E at 40×, 2200×2200, nuclei as a binary mask or as centre points.

The archive is no longer hosted, so its file names are told by more than one convention: a mask has the
image's stem (in a folder `mask…`, or with `_mask` after the stem), points stand in `<stem>.csv` or
`<stem>.txt` as `x, y`.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from inference.contract import Modality, Point
from inference.datasets.sample import DatasetError, Manifest, Outline, Sample

NAME = "tmi2015"
LICENCE = "research use (Xu et al. 2015)"
MATCH_RADIUS_PX = 15
_IMAGE_ENDINGS = {".tif", ".tiff", ".png"}
_PATIENT = re.compile(r"^(?P<patient>\d+)[_-]")


def read(root: Path) -> Manifest:
    """Every image below `root` that is no mask. Images with neither mask nor points are kept and named.

    Raises:
        DatasetError: no image anywhere.
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
    points = {p.stem: p for ending in ("csv", "txt") for p in root.rglob(f"*.{ending}")}
    samples, warnings = [], []
    for path in images:
        spots: tuple[Point, ...] = ()
        if path.stem in points:
            try:
                spots = _points(points[path.stem])
            except ValueError as error:
                warnings.append(f"{points[path.stem].name}: {error}")
        if path.stem not in masks and not spots:
            warnings.append(f"{path.name}: neither mask nor points")
        match = _PATIENT.match(path.stem)
        patient = match["patient"] if match else None
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                modality=Modality.SLIDE_MICROSCOPY,
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
    warnings += [
        f"{p.name}: a mask without an image" for s, p in masks.items() if s not in {i.stem for i in images}
    ]
    return Manifest(NAME, LICENCE, tuple(samples), tuple(warnings))


def _points(table: Path) -> tuple[Point, ...]:
    """`x, y` a line, separated by comma, semicolon or blanks; one heading line is allowed.

    Raises:
        ValueError: a line further down that holds no two numbers, with its number.
    """
    found = []
    with table.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(
            csv.reader(re.sub(r"[;\s]+", ",", line.strip()) for line in lines), start=1
        ):
            try:
                found.append((float(row[0]), float(row[1])))
            except (ValueError, IndexError):
                if number > 1 and any(row):
                    raise ValueError(f"line {number} holds no two numbers") from None
    return tuple(found)
