"""Tiles that are passed on as they lie in the file: the same picture as a decoded one, and nothing but a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from imaging import operations, passed_tiles, sandbox
from imaging.deepzoom import STANDARD, Layout
from imaging.passed_tiles import with_own_header
from imaging.phantoms.histology import Phantom, write_slide

SIDE = 64


def jpeg(picture: Any = None, **options: Any) -> bytes:
    out = io.BytesIO()
    values = np.full((SIDE, SIDE, 3), (200, 40, 90), np.uint8) if picture is None else picture
    Image.fromarray(values).save(out, "JPEG", quality=90, **options)
    return out.getvalue()


def picture_of(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def pyramid(path: Path, section: Phantom, **options: Any) -> Path:
    level = section.pixels[:1000, :900]
    with tifffile.TiffWriter(path) as writer:
        for number in range(3):
            if number:
                level = np.asarray(Image.fromarray(level).reduce(2))
            writer.write(
                level,
                tile=(256, 256),
                compression="jpeg",
                subfiletype=1 if number else 0,
                metadata=None,
                maxworkers=1,
                **options,
            )
    return path


@pytest.fixture(scope="module", params=["rgb", "ycbcr", "subsampled"])
def slide(request: Any, section: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / f"{request.param}.tif"
    if request.param == "rgb":
        return pyramid(path, section, photometric="rgb", compressionargs={"level": 90})
    options: dict[str, Any] = {"subsampling": (2, 2)} if request.param == "subsampled" else {}
    return pyramid(
        path, section, photometric="ycbcr", compressionargs={"level": 90, "outcolorspace": "ycbcr"}, **options
    )


def test_every_tile_is_the_picture_that_decoding_gives(slide: Path) -> None:
    assert sandbox.slide_layout(slide) == Layout(256, 0)
    passed = passed_tiles.PassedTiles(sandbox.native_tiles)
    top = sandbox.native_tiles(slide).facts.dzi_levels - 1
    as_they_lie = 0
    for level, across, down in ((top, 4, 4), (top - 1, 2, 2), (top - 2, 1, 1), (top - 3, 1, 1)):
        for column in range(across):
            for row in range(down):
                given = picture_of(sandbox.slide_tile(slide, level, column, row))
                decoded = picture_of(sandbox.SHARED.call(operations.slide_tile, slide, level, column, row))
                assert given.shape == decoded.shape
                assert np.abs(given - decoded).mean() < 3, (level, column, row)
                as_they_lie += passed.tile(slide, level, column, row) is not None
    assert as_they_lie == 3 * 3 + 1, "whole tiles of the two finest levels"


def test_what_is_not_there_is_left_to_the_decoder(slide: Path) -> None:
    passed = passed_tiles.PassedTiles(sandbox.native_tiles)
    top = sandbox.native_tiles(slide).facts.dzi_levels - 1
    for place in (
        (top, 3, 0),
        (top, 0, 3),
        (top, -1, 0),
        (top, 99, 0),
        (top + 1, 0, 0),
        (-1, 0, 0),
        (0, 0, 0),
    ):
        assert passed.tile(slide, *place) is None, place


def test_a_slide_of_other_tiles_is_cut_here(section: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "deflated.tif"
    with tifffile.TiffWriter(path) as writer:
        for number, level in enumerate((section.pixels, section.pixels[::2, ::2])):
            writer.write(
                level, tile=(256, 256), compression="zlib", photometric="rgb", subfiletype=bool(number)
            )
    assert sandbox.slide_layout(path) == STANDARD
    assert sandbox.slide_tile(path, 9, 0, 0)


def test_few_slides_stay_open(section: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passed_tiles, "OPEN_SLIDES", 2)
    passed = passed_tiles.PassedTiles(sandbox.native_tiles)
    for number in range(3):
        path = tmp_path / f"{number}.tif"
        write_slide(section, path)
        assert passed.tile(path, sandbox.native_tiles(path).facts.dzi_levels - 1, 0, 0)
    assert len(passed._slides) == 2


def test_a_place_outside_the_file_is_no_tile(slide: Path) -> None:
    made = sandbox.native_tiles(slide)
    for place in ((10**15, 100), (-5, 100), (8, 10**9), (8, 300), (0, 0)):
        places = np.array([place] * len(made.places), dtype=np.int64)
        passed = passed_tiles.PassedTiles(lambda _, places=places: type(made)(made.facts, places))  # type: ignore[misc]
        assert passed.tile(slide, made.facts.dzi_levels - 1, 0, 0) is None


# --- the header ------------------------------------------------------------------------------------------


def test_text_and_previews_stay_behind() -> None:
    told = with_own_header(jpeg(comment=b"Anna Okafor", exif=b"Exif\0\0Okafor"), b"", SIDE, rgb=False)
    assert told is not None and b"Okafor" not in told
    assert np.abs(picture_of(told) - picture_of(jpeg())).max() <= 1


def test_components_are_what_the_slide_says() -> None:
    plain = jpeg()
    as_rgb, as_luma = (with_own_header(plain, b"", SIDE, rgb=rgb) for rgb in (True, False))
    assert as_rgb is not None and as_luma is not None
    assert np.abs(picture_of(as_luma) - picture_of(plain)).max() <= 1
    assert np.abs(picture_of(as_rgb) - picture_of(plain)).max() > 20


def _changed(data: bytes, marker: bytes, at: int, value: bytes) -> bytes:
    place = data.index(marker) + at
    return data[:place] + value + data[place + len(value) :]


_SOF = b"\xff\xc0"
HOSTILE = {
    "nothing": b"",
    "text": b"<svg onload=alert(1)>",
    "another size": jpeg(np.zeros((SIDE, 2 * SIDE, 3), np.uint8)),
    "a size that it only claims": _changed(jpeg(), _SOF, 5, b"\xff\xff\xff\xff"),
    "twelve bits": _changed(jpeg(), _SOF, 4, b"\x0c"),
    "grey": jpeg(np.zeros((SIDE, SIDE), np.uint8)),
    "four components": _changed(jpeg(), _SOF, 9, b"\x04"),
    "sampled oddly": _changed(jpeg(), _SOF, 11, b"\x44"),
    "progressive": jpeg(progressive=True),
    "lossless": _changed(jpeg(), _SOF, 1, b"\xc3"),
    "cut in its header": jpeg()[:100],
    "cut in its scan": jpeg()[:-2],
    "a segment beyond the end": _changed(jpeg(), b"\xff\xdb", 2, b"\xff\xff"),
    "a segment of no length": _changed(jpeg(), b"\xff\xdb", 2, b"\x00\x00"),
    "a second picture behind a marker": jpeg()[:-2] + b"\xff\xd8" + jpeg()[2:],
    "two frames": jpeg()[:2] + jpeg()[jpeg().index(_SOF) : jpeg().index(_SOF) + 19] + jpeg()[2:],
    "no frame": jpeg()[: jpeg().index(_SOF)] + jpeg()[jpeg().index(_SOF) + 19 :],
    "an unknown marker": jpeg()[:2] + b"\xff\xf7\x00\x04ab" + jpeg()[2:],
    "tables alone": jpeg(streamtype=1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_anything_else_is_left_to_the_decoder(name: str) -> None:
    assert with_own_header(HOSTILE[name], b"", SIDE, rgb=False) is None


def test_what_follows_the_picture_stays_behind() -> None:
    told = with_own_header(jpeg() + b"Okafor", b"", SIDE, rgb=False)
    assert told is not None and told.endswith(b"\xff\xd9") and b"Okafor" not in told


def test_tables_that_tiles_share_are_put_back() -> None:
    tables, alone = jpeg(streamtype=1), jpeg(streamtype=2)
    told = with_own_header(alone, tables, SIDE, rgb=False)
    assert told is not None and np.abs(picture_of(told) - picture_of(jpeg())).max() <= 1
    assert with_own_header(alone, b"no tables", SIDE, rgb=False) is None
