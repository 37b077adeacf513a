"""IDC patches (Cruz-Roa 2014, Janowczyk 2016; CC0): 50×50 RGB at about 4 µm/px, cut from whole slides.

Class 0 means *not invasive ductal carcinoma* (normal, fat, stroma, perhaps DCIS); it is never "benign".
"""

from __future__ import annotations

import re
from pathlib import Path

from inference.datasets.notes import Notes
from inference.datasets.sample import HISTOPATHOLOGY, DatasetError, Manifest, Sample
from inference.datasets.tables import by_key, table_rows

NAME = "idc"
LICENCE = "CC0 (Cruz-Roa 2014, Janowczyk and Madabhushi 2016)"
UM_PER_PX = 4.0
PATCH_PX = 50
PUBLISHED_PATIENTS = 279
LABELS = ("not_idc", "idc")
_FILE = re.compile(r"^(?P<patient>\d+)_idx(?P<run>\d+)_x(?P<x>\d+)_y(?P<y>\d+)_class(?P<label>[01])\.png$")


def read(root: Path) -> Manifest:
    """The samples of `root/PATIENT/{0,1}/…png`. x and y of the name stand in `extra`.

    Raises
    ------
    DatasetError
        No folder named by a patient number.
    """
    there = root.iterdir() if root.is_dir() else ()
    patients = sorted(path for path in there if path.is_dir() and path.name.isdigit())
    if not patients:
        raise DatasetError(f"no patient folders under {root.name}")
    notes = Notes()
    table = root / "split.csv"
    published = _published_split(table, notes)
    samples = []
    for path in (file for folder in patients for file in sorted(folder.glob("[01]/*"))):
        name = f"{path.parts[-3]}/{path.parts[-2]}/{path.name}"
        match = _FILE.match(path.name)
        if match is None:
            notes.warn(f"{name}: not a name of this set, left out")
            continue
        if match["patient"] != path.parts[-3]:
            notes.warn(f"{name}: folder and name contradict each other, left out")
            continue
        if match["label"] != path.parts[-2]:
            notes.conflict(path, f"{name}: folder and name contradict each other, left out")
            continue
        row = published.get(name)
        if row and row.get("label", match["label"]) not in {"", match["label"]}:
            notes.conflict((path, table), f"{name}: split.csv says class {row['label']}")
        if published and row is None:
            notes.warn(f"{name}: not in split.csv")
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                discipline=HISTOPATHOLOGY,
                path=path,
                patient_id=match["patient"],
                group_id=row["group"] if row else f"patient-{match['patient']}",
                label=LABELS[int(match["label"])],
                label_binary=match["label"] == "1",
                split=row["split"] if row else None,
                spacing_um=UM_PER_PX,
                extra={"x": match["x"], "y": match["y"]},
            )
        )
    for name in sorted(set(published) - {"/".join(sample.path.parts[-3:]) for sample in samples}):
        notes.warn(f"{name}: in split.csv, no file that is read")
    if not published:
        notes.warn("no split.csv: patients are the groups")
    patients_read = len({sample.patient_id for sample in samples})
    notes.counts(NAME, {"patient": patients_read}, {"patient": PUBLISHED_PATIENTS}, what="folders")
    return Manifest.noted(NAME, LICENCE, samples, notes)


def _published_split(table: Path, notes: Notes) -> dict[str, dict[str, str]]:
    if not table.is_file():
        return {}
    return by_key(table_rows(table, ("file", "group", "split"), notes), "file", table, notes)
