"""Importers on damaged files: each is named with a reason, none makes an importer crash, contradictions are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.datasets import cbis_ddsm, mini_mias
from inference.datasets.catalogue import DATASETS, official_splits
from inference.datasets.generated import TREES, mammography, write
from inference.datasets.notes import Trouble
from inference.datasets.sample import DatasetError, Manifest


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(name, tmp_path_factory.mktemp("trees") / name) for name in TREES}


def read(trees: dict[str, Path], name: str) -> Manifest:
    return DATASETS[name].read(trees[name])


def warned(manifest: Manifest, *words: str) -> bool:
    return any(all(word in sentence for word in words) for sentence in manifest.warnings)


MALFORMED = {
    "bach": {"A02.xml", "03.xml", "microscopy_ground_truth.csv"},
    "breakhis": {"dsfold1.txt"},
    "camelyon16": {"tumor_002.xml", "reference.csv"},
    "camelyon17": {"patient_020_node_0.xml", "stage_labels.csv"},
    "tmi2015": {"1005_a.txt"},
    "mini_mias": {"Info.txt"},
    "ddsm": {"A_0001_1.LEFT_MLO.OVERLAY", "A_0001_1.RIGHT_MLO.OVERLAY", "D-0004-1.ics"},
    "cbis_ddsm": {"mass_case_description_train_set.csv"},
    "inbreast": {"20586960.xml", "22427751.xml"},
    "bioimaging2015": set(),
    "busi": set(),
    "busbra": set(),
    "idc": set(),
    "crc8": set(),
    "cbis_mass_256": set(),
    "hospital": set(),
}


@pytest.mark.parametrize("name", sorted(TREES))
def test_every_file_that_could_not_be_read_is_named_with_a_reason(trees: dict[str, Path], name: str) -> None:
    manifest = read(trees, name)
    assert {path.name for path in manifest.unreadable} == MALFORMED[name]
    assert all(path.is_file() for path in manifest.unreadable)
    assert {defect.sentence for defect in manifest.defects} <= set(manifest.warnings)


@pytest.mark.parametrize("name", sorted(TREES))
@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"\xff\xfe<;|,\n1;", b'"'], ids=repr)
def test_no_annotation_file_whatever_it_holds_makes_an_importer_crash(
    tmp_path: Path, name: str, content: bytes
) -> None:
    root = write(name, tmp_path / name)
    annotations = {".csv", ".txt", ".xml", ".ics", ".overlay", ".gz", ".mat"}
    damaged = [path for path in root.rglob("*") if path.suffix.lower() in annotations]
    for path in damaged:
        path.write_bytes(content)
    try:
        manifest = DATASETS[name].read(root)
    except DatasetError:
        return
    official_splits(name, root, manifest)
    assert manifest.warnings


def conflicts(manifest: Manifest) -> set[str]:
    """The names of the files whose labels contradict each other."""
    found = [d.files for d in manifest.defects if d.trouble is Trouble.CONFLICT]
    return {path.name for files in found for path in files}


def test_contradictory_labels_name_their_files(trees: dict[str, Path]) -> None:
    assert "n095.tif" in conflicts(read(trees, "bach"))
    assert "iv009.tif" in conflicts(read(trees, "bioimaging2015"))
    assert "10253_idx5_x901_y751_class1.png" in conflicts(read(trees, "idc"))
    assert {"patient_020_node_1.tif", "stage_labels.csv"} <= conflicts(read(trees, "camelyon17"))
    assert "B_0003_1.LEFT_MLO.tif" in conflicts(read(trees, "ddsm"))
    assert conflicts(read(trees, "inbreast")) == {"INbreast.csv"}
    assert conflicts(read(trees, "cbis_ddsm")) == {"mass_case_description_train_set.csv"}
    slides = {name for name in conflicts(read(trees, "breakhis")) if "13412" in name}
    assert {name.split("-")[0] for name in slides} == {"SOB_M_DC", "SOB_M_LC"}


def test_mini_mias_names_films_that_are_listed_with_two_densities(tmp_path: Path) -> None:
    root = write("mini_mias", tmp_path / "mini_mias")
    with (root / "Info.txt").open("a") as lines:
        lines.write("mdb003 F NORM\nmdb004 D CIRC B 10 20 30\n")
    manifest = mini_mias.read(root)
    assert warned(manifest, "mdb003", "as D and as F") and warned(manifest, "mdb004", "CIRC", "NORM")
    assert conflicts(manifest) == {"Info.txt"}


def test_a_table_that_lists_an_image_twice_differently_is_a_conflict(tmp_path: Path) -> None:
    root = write("busi", tmp_path / "busi")
    with (root / "split.csv").open("a") as lines:
        lines.write("benign (1).png,benign,other,val\nbenign (2).png\n")
    manifest = DATASETS["busi"].read(root)
    assert conflicts(manifest) == {"split.csv"} and [p.name for p in manifest.unreadable] == ["split.csv"]
    assert {s.id: s.group_id for s in manifest.samples}["benign (1)"] == "benign-1"


def test_cbis_ddsm_names_a_mask_that_cannot_be_decoded(tmp_path: Path) -> None:
    mammography.cbis_ddsm(tmp_path)
    mask = next(s for s in cbis_ddsm.read(tmp_path).samples if s.id.startswith("Mass-Test")).masks[0]
    mask.write_bytes(mask.read_bytes()[:100])
    manifest = cbis_ddsm.read(tmp_path)
    assert mask in manifest.unreadable
    assert warned(manifest, "Mass-Test_P_00016_LEFT_CC", "is a mask")
