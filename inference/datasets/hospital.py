"""A hospital's own cases, as the platform exports them (`cad_platform/learning/exporting.py`): `dataset.json`,
`images.csv` and `images/`.

A row an image: `subject` is the patient's pseudonym and the unit of every split; `label` benign, malignant or normal,
`label_from` pathology or report; `findings` a list of boxes in stored pixels that readers accepted, edited or drew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imaging.digest import sha256_of
from inference.contract import Box
from inference.datasets.notes import Notes, Trouble
from inference.datasets.sample import MAMMOGRAPHY, ULTRASOUND, DatasetError, Manifest, Sample
from inference.datasets.tables import by_key, table_rows

NAME = "hospital"
LICENCE = "the hospital's own, by its patients' consent: for use at the hospital alone"
DESCRIPTION, TABLE, IMAGES = "dataset.json", "images.csv", "images"
FORMAT = 1
LABELS = ("benign", "malignant", "normal")
_DISCIPLINES = (MAMMOGRAPHY, ULTRASOUND)
_COLUMNS = ("image", "subject", "label", "label_from", "sha256")


def read(root: Path) -> Manifest:
    """The samples of the tree at `root`. A picture that is another than its row says is left out, and named.

    Raises
    ------
    DatasetError
        No description or table, another format, or no image.
    """
    described = _description(root / DESCRIPTION)
    notes = Notes()
    rows = by_key(table_rows(root / TABLE, _COLUMNS, notes), "image", root / TABLE, notes)
    samples = []
    for name, row in rows.items():
        path = root / IMAGES / name
        if "/" in name or "\\" in name or not path.is_file():
            notes.defect(Trouble.NO_IMAGE, root / TABLE, f"{name}: in {TABLE}, no file in {IMAGES}")
        elif row["label"] not in LABELS:
            notes.unreadable(root / TABLE, f"{name} has the label {row['label']!r}")
        elif sha256_of(path) != row["sha256"]:
            notes.conflict((path, root / TABLE), f"{name}: the picture is another than {TABLE} says")
        else:
            samples.append(_sample(path, row, described, notes))
    if not samples:
        raise DatasetError(f"no image of this set in {root.name}/{IMAGES}")
    found = Manifest(NAME, LICENCE, tuple(samples)).counts
    for label, number in described["labels"].items():
        if found.get(label, 0) != number:
            notes.defect(
                Trouble.COUNT,
                (),
                f"{NAME}: {found.get(label, 0)} {label} images, {DESCRIPTION} says {number}",
            )
    return Manifest.noted(NAME, LICENCE, samples, notes)


def _description(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"no {DESCRIPTION} of a hospital's data set in {path.parent.name}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DatasetError(f"{path.name} of {path.parent.name} is not of format {FORMAT}")
    if found.get("discipline") not in _DISCIPLINES or not isinstance(found.get("labels"), dict):
        raise DatasetError(
            f"{path.name} of {path.parent.name} says no discipline or no labels that are known here"
        )
    return found


def _sample(path: Path, row: Mapping[str, str], described: Mapping[str, Any], notes: Notes) -> Sample:
    label = row["label"]
    told = {name: row[name] for name in ("label_from", "reader_role", "report_version") if row.get(name)}
    return Sample(
        id=path.stem,
        dataset=NAME,
        discipline=described["discipline"],
        path=path,
        group_id=row["subject"],
        patient_id=row["subject"],
        label=label,
        label_binary=label == "malignant",
        laterality=row.get("side") or None,
        view=row.get("view") or None,
        birads=row.get("assessment") or None,
        boxes=_boxes(path, row.get("findings", ""), notes),
        extra=told,
    )


def _boxes(path: Path, text: str, notes: Notes) -> tuple[Box, ...]:
    if not text:
        return ()
    try:
        return tuple(_box(each["box"]) for each in json.loads(text))
    except (ValueError, TypeError, KeyError):
        notes.unreadable(path, "its row has findings that are no list of boxes")
        return ()


def _box(corners: list[float]) -> Box:
    x0, y0, x1, y1 = (float(value) for value in corners)
    return x0, y0, x1, y1
