"""Every data set by name: its importer, its published splits and its strict, group-disjoint ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inference.datasets import (
    bach,
    bioimaging2015,
    breakhis,
    busbra,
    busi,
    camelyon16,
    camelyon17,
    cbis_ddsm,
    cbis_mass_256,
    crc8,
    ddsm,
    hospital,
    idc,
    inbreast,
    mini_mias,
    tmi2015,
    wdbc,
)
from inference.datasets.sample import DatasetError, Manifest, Split

Read = Callable[[Path], Manifest]
Official = Callable[[Path, Manifest], list[Split]]


@dataclass(frozen=True)
class Dataset:
    """`official` reads the published splits of the set; None where nobody published any."""

    name: str
    read: Read
    official: Official | None = None


def _split_column(root: Path, manifest: Manifest) -> list[Split]:
    """The `split.csv` that was handed out with the set: train against val, groups whole."""
    if manifest.splits != ("train", "val"):
        return []
    manifest.part("train")
    train = [i for i, s in enumerate(manifest.samples) if s.split == "train"]
    val = [i for i, s in enumerate(manifest.samples) if s.split == "val"]
    return [Split.published("train/val", manifest.samples, train, val)]


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(bioimaging2015.NAME, bioimaging2015.read, bioimaging2015.official),
        Dataset(bach.NAME, bach.read, bach.official),
        Dataset(breakhis.NAME, breakhis.read, breakhis.official),
        Dataset(camelyon17.NAME, camelyon17.read, camelyon17.official),
        Dataset(camelyon16.NAME, camelyon16.read, camelyon16.official),
        Dataset(tmi2015.NAME, tmi2015.read),
        Dataset(mini_mias.NAME, mini_mias.read, _split_column),
        Dataset(ddsm.NAME, ddsm.read),
        Dataset(cbis_ddsm.NAME, cbis_ddsm.read, cbis_ddsm.official),
        Dataset(inbreast.NAME, inbreast.read),
        Dataset(busi.NAME, busi.read, _split_column),
        Dataset(busbra.NAME, busbra.read, busbra.official),
        Dataset(wdbc.NAME, wdbc.read),
        Dataset(hospital.NAME, hospital.read),
        Dataset(idc.NAME, idc.read, _split_column),
        Dataset(cbis_mass_256.NAME, cbis_mass_256.read, _split_column),
        Dataset(crc8.NAME, crc8.read),
    )
}
#: sets whose names say little: they give way to one that knows its own
LOOSE = frozenset({tmi2015.NAME})


def official_splits(name: str, root: Path, manifest: Manifest) -> list[Split]:
    """The published splits, as published: look at `Split.straddling` before you quote a figure on one."""
    dataset = DATASETS[name]
    return dataset.official(root, manifest) if dataset.official else []


def recognise(root: Path) -> list[tuple[str, Manifest]]:
    """The data sets whose grammar the tree at `root` follows, each with what was found. Of the loose grammars
    (any image with a mask or points beside it) one counts only where no other fits and most images fit it.

    Raises
    ------
    DatasetError
        It follows none.
    """
    found = []
    for name, dataset in DATASETS.items():
        if name == wdbc.NAME:
            continue
        try:
            found.append((name, dataset.read(root)))
        except DatasetError:
            continue
    strict = [(name, manifest) for name, manifest in found if name not in LOOSE]
    chosen = strict or [(name, manifest) for name, manifest in found if _is_annotated(manifest)]
    if not chosen:
        raise DatasetError(f"{root.name} follows the grammar of none of {', '.join(DATASETS)}")
    return chosen


def _is_annotated(manifest: Manifest) -> bool:
    annotated = sum(1 for sample in manifest.samples if sample.masks or sample.outlines)
    return 2 * annotated >= len(manifest.samples)
