"""CRC-8: tiles of eight tissues in colorectal cancer (Kather 2016, CC BY 4.0), 150×150 RGB at 0.495 µm/px.

The reference tissue of [30]: what a patch of breast holds (fat, background, stroma …) is told by a classifier that
learned it here. No tile says whose it is; tiles of one field of view, which the name gives, are a group.
"""

from __future__ import annotations

import re
from pathlib import Path

from inference.datasets.notes import Notes
from inference.datasets.sample import HISTOPATHOLOGY, DatasetError, Manifest, Sample

NAME = "crc8"
LICENCE = "CC BY 4.0 (Kather et al. 2016)"
UM_PER_PX = 0.495
LABELS = ("tumor", "stroma", "complex", "lympho", "debris", "mucosa", "adipose", "empty")
PUBLISHED = dict.fromkeys(LABELS, 625)
_FOLDER = re.compile(r"^(?P<number>0[1-8])_(?P<label>[A-Z]+)$")
_FILE = re.compile(r"^(?P<field>.+)\.tif_Row_(?P<row>\d+)_Col_(?P<column>\d+)\.tif$")


def read(root: Path) -> Manifest:
    """The samples of `01_TUMOR/….tif_Row_1_Col_1.tif` to `08_EMPTY/…` anywhere below `root`.

    Raises
    ------
    DatasetError
        No folder of a tissue.
    """
    notes = Notes()
    samples = []
    folders = sorted(path for path in root.rglob("0[1-8]_*") if path.is_dir() and _FOLDER.match(path.name))
    for folder in folders:
        named = _FOLDER.match(folder.name)
        assert named is not None
        label = LABELS[int(named["number"]) - 1]
        if named["label"].lower() != label:
            notes.warn(f"{folder.name}: number {named['number']} is {label.upper()}, left out")
            continue
        for path in sorted(folder.iterdir()):
            match = _FILE.match(path.name)
            if match is None:
                notes.warn(f"{folder.name}/{path.name}: not a name of this set, left out")
                continue
            samples.append(
                Sample(
                    id=f"{label}-{path.name.removesuffix('.tif')}",
                    dataset=NAME,
                    discipline=HISTOPATHOLOGY,
                    path=path,
                    group_id=match["field"],
                    label=label,
                    label_binary=None,
                    spacing_um=UM_PER_PX,
                )
            )
    if not samples:
        raise DatasetError(f"no folder of tissue (01_TUMOR to 08_EMPTY) with tiles under {root.name}")
    notes.counts(NAME, Manifest(NAME, LICENCE, tuple(samples)).counts, PUBLISHED, what="tiles")
    return Manifest.noted(NAME, LICENCE, samples, notes)
