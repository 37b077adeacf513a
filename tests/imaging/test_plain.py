"""PNG, JPEG, PGM and TIFF in the variants that cameras, scanners and programs write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from imaging import reader
from imaging.errors import UnsupportedEncoding

GRAY = np.add.outer(np.arange(90) * 2, np.arange(70)).astype(np.uint8)
GRAY16 = (np.add.outer(np.arange(90) * 500, np.arange(70) * 100) % 65_536).astype(np.uint16)
COLOUR = np.stack([GRAY, GRAY.T[:70, :90].repeat(2, 0)[:90, :70], 255 - GRAY], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "pgm", "tif"])
@pytest.mark.parametrize("values", [GRAY, GRAY16], ids=["8 bit", "16 bit"])
def test_gray_images_come_back_as_they_were(suffix: str, values: Any, tmp_path: Path) -> None:
    path = tmp_path / f"gray.{suffix}"
    Image.fromarray(values).save(path)
    pixels = reader.read(path)
    assert pixels.photometric == "MONOCHROME2"
    np.testing.assert_array_equal(pixels.values, values)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_tiff(compression: Any, planar: Any, tmp_path: Path) -> None:
    path = tmp_path / "colour.tif"
    values = COLOUR if planar == "contig" else np.moveaxis(COLOUR, -1, 0)
    tifffile.imwrite(path, values, photometric="rgb", planarconfig=planar, compression=compression)
    np.testing.assert_array_equal(reader.read(path).values, COLOUR)


def test_jpeg_in_tiff_keeps_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, COLOUR, photometric="rgb", compression="jpeg", compressionargs={"level": 95})
    assert np.abs(reader.read(path).values.astype(int) - COLOUR).mean() < 6


def test_white_is_zero_is_shown_the_right_way_round(tmp_path: Path) -> None:
    path = tmp_path / "inverse.tif"
    tifffile.imwrite(path, GRAY, photometric="miniswhite")
    pixels = reader.read(path)
    assert pixels.photometric == "MONOCHROME1"
    np.testing.assert_array_equal(pixels.display(), 255 - GRAY)


def test_palettes_become_colour(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR).quantize(64)
    for name in ("palette.png", "palette.tif"):
        image.save(tmp_path / name)
        np.testing.assert_array_equal(reader.read(tmp_path / name).values, np.asarray(image.convert("RGB")))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "alpha.png"
    Image.fromarray(np.dstack([COLOUR, GRAY])).save(path)
    np.testing.assert_array_equal(reader.read(path).values, COLOUR)


def test_pages_of_one_size_are_frames(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack([GRAY, GRAY + 1, GRAY + 2]), photometric="minisblack")
    assert reader.describe(path).frames == 3
    np.testing.assert_array_equal(reader.read(path, 2).values, GRAY + 2)


@pytest.mark.parametrize("dtype", [np.uint32, np.int32])
def test_pages_of_32_bits_are_refused_since_each_would_have_its_own_scale(
    dtype: type, tmp_path: Path
) -> None:
    path = tmp_path / "stack.tif"
    values = np.stack([GRAY, GRAY]).astype(dtype) * 100_000
    tifffile.imwrite(path, values, photometric="minisblack")
    with pytest.raises(UnsupportedEncoding, match="one common scale"):
        reader.describe(path)
    tifffile.imwrite(path, values[0], photometric="minisblack")
    assert reader.describe(path).frames == 1


def test_a_small_32_bit_page_behind_the_picture_is_a_thumbnail_and_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "with_thumbnail.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GRAY.astype(np.uint32), photometric="minisblack")
        writer.write(GRAY[::4, ::4].astype(np.uint32), photometric="minisblack")
    assert reader.describe(path).frames == 1


def test_only_a_microscopes_resolution_is_believed(tmp_path: Path) -> None:
    for name in ("photo.png", "photo.tif"):
        path = tmp_path / name
        Image.fromarray(COLOUR).save(path, dpi=(25_400 / 0.42, 25_400 / 0.42))
        assert reader.describe(path).pixel_spacing_um == pytest.approx((0.42, 0.42), rel=0.01)
        Image.fromarray(COLOUR).save(path, dpi=(300, 300))
        assert reader.describe(path).pixel_spacing_um is None
