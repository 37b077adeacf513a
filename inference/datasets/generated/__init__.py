"""Tiny trees in exactly the grammar of each data set, traps included: what the importers' tests read.

`write(name, root)` makes one; every picture is made up. The same seed gives the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from inference.datasets import wdbc
from inference.datasets.generated import histopathology, mammography, ultrasound
from inference.datasets.sample import DatasetError

TREES: dict[str, Callable[[Path], None]] = {
    "bioimaging2015": histopathology.bioimaging2015,
    "bach": histopathology.bach,
    "breakhis": histopathology.breakhis,
    "camelyon17": histopathology.camelyon17,
    "camelyon16": histopathology.camelyon16,
    "tmi2015": histopathology.tmi2015,
    "idc": histopathology.idc,
    "crc8": histopathology.crc8,
    "mini_mias": mammography.mini_mias,
    "ddsm": mammography.ddsm,
    "cbis_ddsm": mammography.cbis_ddsm,
    "inbreast": mammography.inbreast,
    "cbis_mass_256": mammography.cbis_mass_256,
    "busi": ultrasound.busi,
    "busbra": ultrasound.busbra,
    "hospital": ultrasound.hospital,
}


def write(name: str, root: Path) -> Path:
    """Write the tree of data set `name` into `root` and return it.

    Raises
    ------
    KeyError
        No generator of that name (WDBC ships inside scikit-learn).
    """
    root.mkdir(parents=True, exist_ok=True)
    TREES[name](root)
    return root


def tree_below(folder: Path, name: str) -> Path:
    """The tree of data set `name` in `folder/name`, written there unless it is there already; return `folder`.

    It appears whole or not at all, so that a killed run finds the very files that it began with. WDBC, which ships in
    a package, needs none.

    Raises
    ------
    DatasetError
        No tree is made of that set.
    """
    if name == wdbc.NAME:
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    if name not in TREES:
        raise DatasetError(f"no tree is made of {name}; of {', '.join(sorted(TREES))}")
    if not (folder / name).is_dir():
        write(name, folder / f"{name}.part-{os.getpid()}").rename(folder / name)
    return folder
