"""BUS-BRA: the two halves of a screen are no sides, a box counts from 1, PNG and AVIF, folds by patient."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from inference.datasets import busbra, pixels
from inference.datasets.audit.reading import Undecodable, decode
from inference.datasets.catalogue import official_splits
from inference.datasets.generated import write
from inference.datasets.notes import Trouble
from inference.datasets.pixels import read_gray, read_joined_masks
from inference.datasets.sample import DatasetError, Manifest

DATA = Path(os.environ.get("CAD_DATA_DIR", "../shared/data")) / "busbra"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write("busbra", tmp_path / "busbra")


def warned(manifest: Manifest, *words: str) -> bool:
    return any(all(word in sentence for word in words) for sentence in manifest.warnings)


def test_an_image_brings_what_the_table_says_of_it(tree: Path) -> None:
    by_id = {sample.id: sample for sample in busbra.read(tree).samples}
    image = by_id["bus_0003-l"]
    assert (image.label, image.label_binary, image.birads) == ("malignant", True, "5")
    assert image.extra["device"].startswith("GE Logiq 5") and image.extra["fold"] == "3"
    assert image.extra["side"] == "left" and image.laterality is None  # a half of the screen, not a breast
    assert by_id["bus_0003-r"].group_id == image.group_id == image.patient_id == "3"
    assert by_id["bus_0004-s"].group_id != image.group_id


def test_the_box_counts_from_one_and_is_the_outlines(tree: Path) -> None:
    for sample in busbra.read(tree).samples:
        if sample.masks:
            height, width = read_gray(sample.path).shape
            y, x = np.nonzero(read_joined_masks(sample.masks, height, width))
            assert sample.boxes == ((x.min(), y.min(), x.max() + 1, y.max() + 1),)


def test_png_and_avif_stand_side_by_side(tree: Path) -> None:
    assert features.check("avif"), "this environment's Pillow should read AVIF"
    endings = {sample.path.suffix for sample in busbra.read(tree).samples}
    assert endings == {".png", ".avif"}
    (avif,) = {s.path for s in busbra.read(tree).samples if s.id == "bus_0007-l"}
    assert decode(avif).gray.shape == (90, 120) and decode(avif).content is None
    with Image.open(avif) as picture:
        picture.save(avif.with_suffix(".png"))
    again = busbra.read(tree)
    assert {s.path.suffix for s in again.samples if s.id == "bus_0007-l"} == {".png"}
    assert warned(again, "bus_0007-l", "AVIF")


def test_without_avif_the_refusal_names_what_is_missing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels.features, "check", lambda name: False)
    with pytest.raises(DatasetError, match=r"AVIF: Pillow .* from 11\.3 on"):
        busbra.read(tree)
    for path in (tree / "Images").glob("*.avif"):
        path.unlink()
    assert busbra.read(tree).samples  # PNG alone needs nothing


def test_a_damaged_avif_is_named(tree: Path) -> None:
    path = tree / "Images" / "bus_0007-l.avif"
    path.write_bytes(path.read_bytes()[:200])
    manifest = busbra.read(tree)
    with pytest.raises(Undecodable):
        decode(path)
    assert path in manifest.unreadable or any(s.path == path for s in manifest.samples)


def test_folds_are_the_tables_and_keep_patients_whole(tree: Path) -> None:
    manifest = busbra.read(tree)
    splits = official_splits("busbra", tree, manifest)
    assert [split.name for split in splits] == [f"fold {number}" for number in range(5)]
    assert sorted(i for split in splits for i in split.held_out) == list(range(len(manifest.samples)))
    assert all(split.straddling == () for split in splits)


def test_what_does_not_fit_together_is_told(tree: Path) -> None:
    manifest = busbra.read(tree)
    assert warned(manifest, "bus_0002-l", "120 × 90", "121 × 90")
    assert warned(manifest, "bus_0099-s", "no file") and warned(manifest, "bus_0098-s", "not in bus_data.csv")
    assert warned(manifest, "Thumbs.db") and warned(manifest, "1268 are published")
    assert [d.files[0].name for d in manifest.defects if d.trouble is Trouble.NO_MASK] == ["bus_0011-r.avif"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("bus_0001-l,1,fibroadenoma,benign,3", "bus_0001-l,1,fibroadenoma,malignant,3"), ("patient 1", "benign and")),
        (("bus_0001-l,1,fibroadenoma,benign,3", "bus_0001-l,1,fibroadenoma,benign,9"), ("bus_0001-l", "BI-RADS 9")),
        (("bus_0001-l,1,fibroadenoma,benign,3", "bus_0001-l,1,fibroadenoma,odd,3"), ("bus_0001-l", "'odd'")),
        (("bus_0001-l,1,fibroadenoma", "bus_0001-l,5,fibroadenoma"), ("bus_0001-l", "patient 5", "split.csv 1")),
        (('left,"[44,', 'left,"[440,'), ("bus_0001-l", "[440,")),
        (('left,"[44,', 'left,"[x,'), ("bus_0001-l", "[x,")),
    ],
    ids=("pathology", "birads", "unknown pathology", "patient", "box outside", "box unreadable"),
)  # fmt: skip
def test_each_contradiction_names_the_image(
    tree: Path, change: tuple[str, str], words: tuple[str, ...]
) -> None:
    table = tree / "bus_data.csv"
    text = table.read_text()
    assert change[0] in text
    table.write_text(text.replace(*change, 1))
    assert warned(busbra.read(tree), *words)


def test_a_patient_in_two_folds_straddles(tree: Path) -> None:
    table = tree / "split.csv"
    table.write_text(table.read_text().replace("bus_0001-r.avif,1,1", "bus_0001-r.avif,1,2"))
    manifest = busbra.read(tree)
    assert warned(manifest, "patient 1", "folds 1, 2")
    assert {name for split in official_splits("busbra", tree, manifest) for name in split.straddling} == {"1"}


def test_without_its_folds_the_set_is_read_and_says_so(tree: Path) -> None:
    (tree / "split.csv").unlink()
    manifest = busbra.read(tree)
    assert warned(manifest, "no split.csv") and official_splits("busbra", tree, manifest) == []


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not here")
def test_the_shared_part_is_read_whole() -> None:
    manifest = busbra.read(DATA)
    assert manifest.counts == {"benign": 947, "malignant": 425}
    assert len({sample.patient_id for sample in manifest.samples}) == 783
    assert [w for w in manifest.warnings if "published" not in w] == [
        "bus_0912-l.avif: 360 × 352 pixels, bus_data.csv says 360 × 354"
    ]
    assert all(split.straddling == () for split in official_splits("busbra", DATA, manifest))
