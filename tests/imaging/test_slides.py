"""Slides: every place at every resolution is the same picture."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from imaging import reader, slides
from imaging.errors import NoSuchFrame, NotAnImage
from imaging.phantoms import histology
from imaging.phantoms.malformed import dicom
from imaging.phantoms.phantom import Phantom


def difference(a: Any, b: Any) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_a_pyramid_is_a_slide_with_its_scale(section: Phantom, section_file: Path) -> None:
    description = reader.describe(section_file)
    assert description.kind == "slide"
    assert (description.rows, description.columns) == section.pixels.shape[:2]
    assert description.slide is not None
    assert description.slide.mpp == pytest.approx((0.5, 0.5), rel=1e-3)
    assert len(description.slide.levels) == 3


def test_a_plain_tiff_is_an_image_tiled_or_not(section: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    for tile in (None, (256, 256)):
        tifffile.imwrite(path, section.pixels, photometric="rgb", tile=tile, compression="zlib")
        assert reader.describe(path).kind == "image"
    with pytest.raises(NotAnImage) as refused:
        slides.open_slide(path)
    assert refused.value.code == "not_a_slide"


@pytest.mark.parametrize("um_per_px", [0.5, 0.8, 2.0, 5.3])
def test_resolutions_agree_with_the_original(um_per_px: float, section: Phantom, section_file: Path) -> None:
    with slides.open_slide(section_file) as slide:
        found = slide.read_at(um_per_px)
    size = (found.shape[1], found.shape[0])
    expected = np.asarray(Image.fromarray(section.pixels).resize(size, Image.Resampling.BOX))
    assert abs(found.shape[1] - section.pixels.shape[1] * 0.5 / um_per_px) <= 1
    assert difference(found, expected) < 8


def test_strips_put_together_are_the_whole(section_file: Path) -> None:
    with slides.open_slide(section_file) as slide:
        strips = list(slide.strips(1.3, rows_per_strip=100))
        whole = slide.read_at(1.3)
    assert [top for top, _ in strips] == list(range(0, whole.shape[0], 100))
    assert difference(np.concatenate([strip for _, strip in strips]), whole) < 3


def test_deepzoom_tiles_put_together_are_the_whole(section: Phantom, section_file: Path) -> None:
    with slides.open_slide(section_file) as slide:
        width, height = (int(n) for n in re.findall(r'(?:Width|Height)="(\d+)"', slide.dzi()))
        assert (height, width) == section.pixels.shape[:2]
        side, overlap = (int(n) for n in re.findall(r'(?:TileSize|Overlap)="(\d+)"', slide.dzi())[::-1])
        assert (side, overlap) == (256, 0), "as the file is cut"
        for level in (slide.geometry.dzi_levels - 1, slide.geometry.dzi_levels - 3):
            scale = 2 ** (slide.geometry.dzi_levels - 1 - level)
            columns, rows = -(-width // scale), -(-height // scale)
            whole = np.zeros((rows, columns, 3), dtype=np.uint8)
            for row in range(-(-rows // side)):
                for column in range(-(-columns // side)):
                    tile = np.asarray(Image.open(io.BytesIO(slide.tile(level, column, row))))
                    x, y = max(0, column * side - overlap), max(0, row * side - overlap)
                    whole[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
            expected = np.asarray(
                Image.fromarray(section.pixels).resize((columns, rows), Image.Resampling.BOX)
            )
            assert difference(whole, expected) < 9
            with pytest.raises(NoSuchFrame):
                slide.tile(level, -(-columns // side), 0)
        with pytest.raises(NoSuchFrame):
            slide.tile(slide.geometry.dzi_levels, 0, 0)


def test_outside_the_slide_is_white(section_file: Path) -> None:
    with slides.open_slide(section_file) as slide:
        region = slide.read_at(0.5, (-64.0, -64.0, 0.0, 0.0))
    assert region.min() == 255


def test_rgb_labelled_ycbcr_keeps_white_glass_white(section: Phantom, tmp_path: Path) -> None:
    import imagecodecs

    def mislabelled(values: Any) -> Any:
        """Tiles whose JPEG components are R, G, B, in a file that calls them YCbCr."""
        rows, columns = (-(-side // 256) * 256 for side in values.shape[:2])
        padded = np.full((rows, columns, 3), 255, np.uint8)
        padded[: values.shape[0], : values.shape[1]] = values
        for y in range(0, rows, 256):
            for x in range(0, columns, 256):
                yield imagecodecs.jpeg8_encode(
                    np.ascontiguousarray(padded[y : y + 256, x : x + 256]),
                    level=90, colorspace="ycbcr", outcolorspace="ycbcr",
                )  # fmt: skip

    path = tmp_path / "mislabelled.tif"
    with tifffile.TiffWriter(path) as writer:
        for factor in (1, 4):
            level = np.ascontiguousarray(section.pixels[::factor, ::factor])
            writer.write(
                mislabelled(level), shape=level.shape, dtype=np.uint8, photometric="ycbcr", tile=(256, 256),
                compression="jpeg", subfiletype=int(factor > 1), metadata=None, maxworkers=1,
            )  # fmt: skip
    with slides.open_slide(path) as slide:
        assert difference(slide.read_scaled(1.0), section.pixels) < 8


def tiled_dicom(pixels: Any, organisation: str = "TILED_FULL") -> bytes:
    rows, columns = pixels.shape[:2]
    tiles = []
    for y in range(0, rows, 256):
        for x in range(0, columns, 256):
            tile = np.zeros((256, 256, 3), np.uint8)
            part = pixels[y : y + 256, x : x + 256]
            tile[: part.shape[0], : part.shape[1]] = part
            tiles.append(tile.tobytes())

    def change(header: Any) -> None:
        from pydicom.dataset import Dataset
        from pydicom.sequence import Sequence

        header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
        header.Modality, header.NumberOfFrames = "SM", str(len(tiles))
        header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
        header.TotalPixelMatrixColumns, header.TotalPixelMatrixRows = columns, rows
        if organisation:
            header.DimensionOrganizationType = organisation
        measures, group = Dataset(), Dataset()
        measures.PixelSpacing = ["0.0005", "0.0005"]
        group.PixelMeasuresSequence = Sequence([measures])
        header.SharedFunctionalGroupsSequence = Sequence([group])

    return dicom(change, pixels=b"".join(tiles), rows=256, columns=256)


def test_dicom_tiles_are_a_slide(section: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "slide.dcm"
    path.write_bytes(tiled_dicom(section.pixels))
    description = reader.describe(path)
    assert (description.kind, description.media_type) == ("slide", "application/dicom")
    assert description.header is not None and description.header.modality == "SM"
    assert description.pixel_spacing_um == pytest.approx((0.5, 0.5))
    with slides.open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_scaled(1.0), section.pixels)


def test_dicom_tiles_without_places_are_frames(section: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "slide.dcm"
    path.write_bytes(tiled_dicom(section.pixels, ""))
    description = reader.describe(path)
    assert description.kind == "dicom"
    assert any("where they lie" in remark for remark in description.remarks)


def test_phantom_slides_are_the_same_every_time(section: Phantom) -> None:
    np.testing.assert_array_equal(histology.slide(5, shape=(1100, 1400)).pixels, section.pixels)
