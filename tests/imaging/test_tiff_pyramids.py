"""Pyramids in SubIFDs, as OME-TIFF, Bio-Formats and QuPath write them, are slides: small and large, read by tiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from imaging import reader, sandbox, slides
from imaging.errors import UnsupportedEncoding
from tests.whole_slides import section, smaller

SIZES = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}


def pyramid(
    path: Path, pixels: Any, metadata: Any, *, axes: str = "YXS", levels: int = 2, **options: Any
) -> Path:
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"} | options
    with tifffile.TiffWriter(path, bigtiff=True, ome=axes != "") as tiff:
        described = {"axes": axes, **metadata} if axes else None
        tiff.write(pixels, subifds=levels, metadata=described, **options)
        for level in range(1, levels + 1):
            tiff.write(pixels[..., :: 2**level, :: 2**level, :], subfiletype=1, metadata=None, **options)
    return path


@pytest.mark.parametrize("compression", ["zlib", "jpeg", "lzw", None, "jpeg2000"])
def test_a_small_ome_pyramid_is_a_slide_with_its_scale(compression: Any, tmp_path: Path) -> None:
    pixels = section(1536, 2048)
    path = pyramid(tmp_path / "small.ome.tif", pixels, SIZES, compression=compression)
    described = reader.describe(path)
    assert (described.kind, described.rows, described.columns) == ("slide", 1536, 2048)
    assert described.pixel_spacing_um == (0.25, 0.25)
    with slides.open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]
        shown = slide.read_scaled(1.0)
        assert np.abs(shown.astype(int) - pixels).mean() < (3 if compression == "jpeg" else 0.5)
        assert np.abs(slide.read_scaled(4.0).astype(int) - pixels[::4, ::4]).mean() < 8


@pytest.mark.parametrize(
    ("unit", "value"), [("nm", 250.0), ("mm", 0.00025), ("cm", 0.000025), ("µm", 0.25), (None, 0.25)]
)
def test_physical_sizes_have_units(unit: Any, value: float, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"PhysicalSizeX": value, "PhysicalSizeY": value}
    if unit:
        sizes |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    path = pyramid(tmp_path / "units.ome.tif", section(600, 800), sizes)
    assert reader.describe(path).pixel_spacing_um == pytest.approx((0.25, 0.25))


def test_a_size_that_no_microscope_has_is_no_scale(tmp_path: Path) -> None:
    path = pyramid(
        tmp_path / "absurd.ome.tif", section(600, 800), {"PhysicalSizeX": 900, "PhysicalSizeY": 900}
    )
    assert reader.describe(path).pixel_spacing_um is None


def test_subifds_without_ome_are_a_slide(tmp_path: Path) -> None:
    pixels = section(700, 900)
    path = pyramid(
        tmp_path / "sub.tif", pixels, {}, axes="", resolution=(20_000, 20_000), resolutionunit="CENTIMETER"
    )
    described = reader.describe(path)
    assert (described.kind, described.pixel_spacing_um) == ("slide", (0.5, 0.5))
    with slides.open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_scaled(1.0), pixels)


def test_reduced_pages_are_a_slide(tmp_path: Path) -> None:
    pixels, path = section(700, 900), tmp_path / "pages.tif"
    options: dict[str, Any] = {
        "tile": (256, 256),
        "photometric": "rgb",
        "compression": "zlib",
        "metadata": None,
    }
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, **options)
        tiff.write(smaller(pixels, 2), subfiletype=1, **options)
    assert reader.describe(path).kind == "slide"
    with slides.open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_scaled(1.0), pixels)


def test_label_and_macro_pictures_of_an_ome_file_are_not_the_slide(tmp_path: Path) -> None:
    pixels, path = section(1536, 2048), tmp_path / "several.ome.tif"
    options: dict[str, Any] = {"photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(section(300, 400, 7), metadata={"axes": "YXS", "Name": "label"}, **options)
        tiff.write(pixels, subifds=1, tile=(256, 256), metadata={"axes": "YXS", **SIZES}, **options)
        tiff.write(pixels[::2, ::2], subfiletype=1, tile=(256, 256), metadata=None, **options)
        tiff.write(section(300, 400, 8), metadata={"axes": "YXS", "Name": "macro"}, **options)
    assert reader.describe(path).pixel_spacing_um == (0.25, 0.25)
    with slides.open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_scaled(1.0), pixels)


def test_focal_planes_of_an_ome_file_are_named(tmp_path: Path) -> None:
    planes = np.stack([section(600, 800, seed) for seed in (1, 2, 3)])
    path = pyramid(tmp_path / "z.ome.tif", planes, {**SIZES, "PhysicalSizeZ": 2.0}, axes="ZYXS")
    with slides.open_slide(path) as slide:
        assert slide.geometry.focal_planes_um == (0.0, 2.0, 4.0)
        np.testing.assert_array_equal(slide.read_scaled(1.0), planes[1])
        np.testing.assert_array_equal(slide.show(2, None).read_scaled(1.0), planes[2])


def test_grey_and_planar_pyramids_are_read(tmp_path: Path) -> None:
    pixels = section(600, 800)
    path = tmp_path / "grey.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(
            pixels[..., 1], subifds=1, tile=(256, 256), photometric="minisblack", metadata={"axes": "YX"}
        )
        tiff.write(
            pixels[::2, ::2, 1], subfiletype=1, tile=(256, 256), photometric="minisblack", metadata=None
        )
    with slides.open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_scaled(1.0), np.repeat(pixels[..., 1:2], 3, axis=2))
    path, moved = tmp_path / "planar.ome.tif", np.moveaxis(pixels, 2, 0)
    options: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb", "planarconfig": "separate"}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(moved, subifds=1, metadata={"axes": "SYX"}, **options)
        tiff.write(moved[:, ::2, ::2], subfiletype=1, metadata=None, **options)
    with slides.open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_scaled(1.0), pixels)


@pytest.mark.parametrize(
    ("axes", "shape", "what"), [("CYX", (5, 600, 800), "5 channels"), ("TYX", (3, 600, 800), "3 time")]
)
def test_fluorescence_and_time_series_are_refused_plainly(
    axes: str, shape: Any, what: str, tmp_path: Path
) -> None:
    path, values = tmp_path / "channels.ome.tif", np.zeros(shape, np.uint16)
    options: dict[str, Any] = {"tile": (256, 256), "photometric": "minisblack"}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(values, subifds=1, metadata={"axes": axes}, **options)
        tiff.write(values[..., ::2, ::2], subfiletype=1, metadata=None, **options)
    with pytest.raises(UnsupportedEncoding, match=what):
        reader.describe(path)


def test_a_large_ome_pyramid_opens_in_bounded_memory(tmp_path: Path) -> None:
    """24,000 × 18,000 pixels, 1.3 GB where it were read whole."""
    tile, glass = section(512, 512), np.full((512, 512, 3), 244, np.uint8)

    def tiles(columns: int, rows: int) -> Iterator[Any]:
        for row in range(-(-rows // 512)):
            for column in range(-(-columns // 512)):
                yield tile if row == 1 and column < 4 else glass

    path = tmp_path / "large.ome.tif"
    options: dict[str, Any] = {"dtype": "u1", "tile": (512, 512), "photometric": "rgb", "compression": "jpeg"}
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as tiff:
        tiff.write(
            tiles(24_000, 18_000),
            shape=(18_000, 24_000, 3),
            subifds=4,
            metadata={"axes": "YXS", **SIZES},
            **options,
        )
        for level in range(1, 5):
            columns, rows = 24_000 >> level, 18_000 >> level
            tiff.write(
                tiles(columns, rows), shape=(rows, columns, 3), subfiletype=1, metadata=None, **options
            )
    described = sandbox.describe(path)
    assert described.slide is not None and len(described.slide.levels) == 5
    top = described.slide.dzi_levels - 1
    assert sandbox.slide_tile(path, top, 3, 2) and sandbox.slide_tile(path, 0, 0, 0)
    strips = sandbox.slide_strips(path, 4.0)
    assert sum(strip.shape[0] for _, strip in strips) == 1125


def test_a_camera_file_with_a_preview_is_a_photograph(tmp_path: Path) -> None:
    path, pixels = tmp_path / "preview.tif", section(600, 800)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, photometric="rgb", subifds=1, metadata=None)
        tiff.write(smaller(pixels, 4), photometric="rgb", subfiletype=1, metadata=None)
    assert reader.describe(path).kind == "image"
