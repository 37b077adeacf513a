"""IDC patches (Cruz-Roa 2014, Janowczyk 2016; CC0): 50×50 RGB at about 4 µm/px, cut from whole slides.

Class 0 means *not invasive ductal carcinoma* (normal, fat, stroma, perhaps DCIS); it is never "benign".
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from inference.contract import Modality
from inference.datasets.sample import DatasetError, Manifest, Sample

NAME = "idc"
LICENCE = "CC0 (Cruz-Roa 2014, Janowczyk and Madabhushi 2016)"
UM_PER_PX = 4.0
PATCH_PX = 50
LABELS = ("not_idc", "idc")
_FILE = re.compile(r"^(?P<patient>\d+)_idx(?P<run>\d+)_x(?P<x>\d+)_y(?P<y>\d+)_class(?P<label>[01])\.png$")


def read(root: Path) -> Manifest:
    """The samples of `root/PATIENT/{0,1}/…png`. x and y of the name stand in `extra`.

    Raises:
        DatasetError: no folder named by a patient number.
    """
    patients = sorted(path for path in root.iterdir() if path.is_dir() and path.name.isdigit())
    if not patients:
        raise DatasetError(f"no patient folders under {root.name}")
    published = _published_split(root)
    samples, warnings = [], []
    for path in (file for folder in patients for file in sorted(folder.glob("[01]/*"))):
        name = f"{path.parts[-3]}/{path.parts[-2]}/{path.name}"
        match = _FILE.match(path.name)
        if match is None:
            warnings.append(f"{name}: not a name of this set, left out")
            continue
        if match["patient"] != path.parts[-3] or match["label"] != path.parts[-2]:
            warnings.append(f"{name}: folder and name contradict each other, left out")
            continue
        group, split = published.get(name, (f"patient-{match['patient']}", None))
        samples.append(
            Sample(
                id=path.stem,
                dataset=NAME,
                modality=Modality.SLIDE_MICROSCOPY,
                path=path,
                patient_id=match["patient"],
                group_id=group,
                label=LABELS[int(match["label"])],
                label_binary=match["label"] == "1",
                split=split,
                spacing_um=UM_PER_PX,
                extra={"x": match["x"], "y": match["y"]},
            )
        )
    if not published:
        warnings.append("no split.csv: patients are the groups")
    return Manifest(NAME, LICENCE, tuple(samples), tuple(warnings))


def _published_split(root: Path) -> dict[str, tuple[str, str]]:
    table = root / "split.csv"
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as lines:
        return {row["file"]: (row["group"], row["split"]) for row in csv.DictReader(lines)}
