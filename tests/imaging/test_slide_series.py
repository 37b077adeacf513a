"""A DICOM slide is one or several files, and however they come, the same picture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from imaging import reader, slides
from imaging.description import ImageFacts, SlidePart
from imaging.errors import DamagedFile, NoSuchFrame
from imaging.slide_parts import SlideFile, slides_of
from tests.whole_slides import WholeSlide, section, smaller, uid


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    def write(*contents: bytes) -> list[Path]:
        paths = [tmp_path / f"{number}.dcm" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        return paths

    return write


def parts_of(paths: Sequence[Path]) -> list[SlideFile[int]]:
    """As the platform knows them: what describing every file by itself gave."""
    found = []
    for number, path in enumerate(paths):
        described = reader.describe(path)
        part = ImageFacts.model_validate(described.facts.model_dump(mode="json")).slide_part
        assert part is not None and described.header is not None
        found.append(SlideFile(number, described.header.series_instance_uid or "", part))
    return found


def grouped(paths: Sequence[Path]) -> list[tuple[int, ...]]:
    return [group.keys for group in slides_of(parts_of(paths))]


def whole(paths: Sequence[Path], plane: int | None = None, path: int | None = None) -> Any:
    with slides.open_slide(paths) as slide:
        return slide.show(plane, path).read_scaled(1.0)


def test_levels_in_any_order_are_one_slide_without_its_label_and_overview(folder: Any) -> None:
    made, pixels = WholeSlide(), section()
    files = folder(
        made.file(smaller(pixels, 4), 4.0, ImageType=["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]),
        made.file(smaller(pixels, 8), 40.0, "LABEL", SpecimenLabelInImage="YES"),
        made.file(pixels, 1.0),
        made.file(smaller(pixels, 4), 4.0, "OVERVIEW", SpecimenLabelInImage="YES"),
        made.file(smaller(pixels, 2), 2.0, ImageType=["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]),
        made.file(smaller(pixels, 8), 8.0, "THUMBNAIL"),
    )
    for parts in itertools.permutations(parts_of(files)):
        assert [group.keys for group in slides_of(parts)] == [(2, 4, 0)]
    with slides.open_slide([files[0], files[2], files[4]]) as slide:
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]
        assert slide.mpp == (1.0, 1.0)
        np.testing.assert_array_equal(slide.read_scaled(1.0), pixels)
        np.testing.assert_array_equal(slide.read_scaled(4.0), smaller(pixels, 4))


@pytest.mark.parametrize(
    ("image_type", "labelled", "role"),
    [
        (["ORIGINAL", "PRIMARY", "LOCALIZER", "RESAMPLED"], None, "overview"),
        (["ORIGINAL", "PRIMARY", "label", "NONE"], None, "label"),
        (["ORIGINAL", "PRIMARY", "NONE", "OVERVIEW"], None, "overview"),
        (["DERIVED", "PRIMARY", "RESAMPLED"], None, "volume"),
        (["ORIGINAL", "PRIMARY"], "YES", "overview"),
        (["ORIGINAL", "PRIMARY"], "NO", "volume"),
        (["DERIVED", "SECONDARY", "THUMBNAIL"], None, "thumbnail"),
    ],
)
def test_old_and_odd_image_types_tell_the_role(
    image_type: Any, labelled: Any, role: str, folder: Any
) -> None:
    tags = {"SpecimenLabelInImage": labelled} if labelled else {}
    (path,) = folder(WholeSlide().file(section(128, 128), ImageType=image_type, **tags))
    part = reader.describe(path).facts.slide_part
    assert part is not None and part.role == role


def test_two_glasses_of_one_series_are_two_slides(folder: Any) -> None:
    one, pixels = WholeSlide(), section()
    other = WholeSlide(study=one.study, series=one.series, container="S26-1-A2")
    files = folder(
        one.file(pixels),
        other.file(pixels),
        one.file(smaller(pixels, 2), 2.0),
        other.file(smaller(pixels, 2), 2.0),
    )
    assert grouped(files) == [(0, 2), (1, 3)]


def test_two_pyramids_on_one_glass_are_two_slides(folder: Any) -> None:
    made, pixels = WholeSlide(), section()
    first, second = uid(), uid()
    files = folder(
        made.file(pixels, PyramidUID=first),
        made.file(pixels, PyramidUID=second),
        made.file(smaller(pixels, 2), 2.0, PyramidUID=second),
        made.file(smaller(pixels, 2), 2.0, PyramidUID=first),
    )
    assert grouped(files) == [(0, 3), (1, 2)]


def test_one_pyramid_is_one_slide_whatever_its_levels_say_of_their_spacing(folder: Any) -> None:
    pyramid, pixels = uid(), section()
    made = WholeSlide(container="")
    files = folder(
        made.file(smaller(pixels, 4), 1.0, PyramidUID=pyramid),
        made.file(pixels, 1.0, PyramidUID=pyramid),
        made.file(smaller(pixels, 2), None, PyramidUID=pyramid),
    )
    assert grouped(files) == [(1, 2, 0)]
    with slides.open_slide(files) as slide:
        assert (slide.mpp, len(slide.levels)) == ((1.0, 1.0), 3)


def test_two_regions_of_different_size_on_one_glass_are_two_slides(folder: Any) -> None:
    made = WholeSlide()
    files = folder(
        made.file(section(384, 512)), made.file(section(256, 128)), made.file(section(192, 256), 2.0)
    )
    assert grouped(files) == [(0, 2), (1,)]


def test_two_scans_of_one_glass_never_share_a_level(folder: Any) -> None:
    made, pixels = WholeSlide(), section()
    files = folder(
        made.file(pixels, FrameOfReferenceUID="1.2.3.1"),
        made.file(pixels, FrameOfReferenceUID="1.2.3.2"),
        made.file(smaller(pixels, 2), 2.0, FrameOfReferenceUID="1.2.3.2"),
        made.file(smaller(pixels, 4), 4.0),
    )
    assert grouped(files) == [(0,), (1, 2), (3,)]


@pytest.mark.parametrize("say_offset", [True, False])
def test_a_concatenation_in_any_order_is_one_level(say_offset: bool, folder: Any) -> None:
    made, pixels = WholeSlide(), section(390, 500)
    files = folder(*made.concatenation(pixels, 3, say_offset=say_offset), made.file(smaller(pixels, 2), 2.0))
    for order in itertools.permutations(files):
        assert len(grouped(order)) == 1
        np.testing.assert_array_equal(whole(order), pixels)


def test_a_part_alone_is_described_and_says_what_is_missing(folder: Any) -> None:
    made, pixels = WholeSlide(), section()
    files = folder(*made.concatenation(pixels, 3))
    described = reader.describe(files[1])
    assert (described.kind, described.columns, described.rows) == ("slide", 512, 384)
    (group,) = slides_of(parts_of([files[0], files[2]]))
    assert group.missing == ("The slide is incomplete: of its 3 parts number 2 is missing.",)
    shown = whole([files[2], files[0]])
    assert (shown[128:256] == 255).all() and np.array_equal(shown[:128], pixels[:128])
    with slides.open_slide([files[0], files[2]]) as slide:
        assert slide.geometry.missing == group.missing


def test_parts_that_do_not_say_how_many_they_are(folder: Any) -> None:
    made, pixels = WholeSlide(), section()
    files = folder(*made.concatenation(pixels, 2))
    for path in files:
        header = pydicom.dcmread(path)
        del header.InConcatenationTotalNumber
        header.save_as(path)
    # The first alone may be all, but for its tiles.
    assert reader.describe(files[0]).kind == "slide"
    with slides.open_slide([files[0]]) as slide:
        assert slide.geometry.missing == ("The slide is incomplete: of its 12 tiles 6 are there.",)
    for order in itertools.permutations(files):
        np.testing.assert_array_equal(whole(order), pixels)


def test_a_part_that_came_twice_counts_once(folder: Any) -> None:
    made, pixels = WholeSlide(), section()
    parts = made.concatenation(pixels, 2)
    np.testing.assert_array_equal(whole(folder(parts[1], parts[0], parts[1])), pixels)


def test_a_whole_level_with_too_few_tiles_is_damaged(folder: Any) -> None:
    (path,) = folder(WholeSlide().file(section(), leave_out=frozenset({3})))
    with pytest.raises(DamagedFile, match="needs 12 tiles"):
        reader.describe(path)


def test_missing_tiles_of_a_sparse_slide_are_white(folder: Any) -> None:
    pixels = section()
    expected = pixels.copy()
    expected[:128, 128:256] = 255
    files = folder(WholeSlide().file(pixels, sparse=True, leave_out=frozenset({1})))
    np.testing.assert_array_equal(whole(files), expected)


@pytest.mark.parametrize("sparse", [True, False])
def test_focal_planes_of_one_file_are_named_and_the_middle_one_is_shown(sparse: bool, folder: Any) -> None:
    sheets = [section(seed=seed) for seed in (1, 2, 3)]
    files = folder(WholeSlide().file(sheets, planes_um=(0.0, 1.5, 3.0), sparse=sparse))
    described = reader.describe(files[0])
    assert described.slide is not None and described.slide.focal_planes_um == (0.0, 1.5, 3.0)
    np.testing.assert_array_equal(whole(files), sheets[1])
    for number, sheet in enumerate(sheets):
        np.testing.assert_array_equal(whole(files, number), sheet)
    with pytest.raises(NoSuchFrame):
        whole(files, 3)


@pytest.mark.parametrize("sparse", [True, False])
def test_focal_planes_of_several_files_are_one_slide(sparse: bool, folder: Any) -> None:
    made = WholeSlide()
    sheets = [section(seed=seed) for seed in (1, 2)]
    files = folder(
        made.file(sheets[1], planes_um=(2.5,), sparse=sparse),
        made.file(smaller(sheets[0], 2), 2.0, sparse=sparse),
        made.file(sheets[0], sparse=sparse),
    )
    assert [sorted(keys) for keys in grouped(files)] == [[0, 1, 2]]
    for number, sheet in enumerate(sheets):
        np.testing.assert_array_equal(whole(files, number), sheet)
    with slides.open_slide(files) as slide:
        # The coarse level has one plane; from afar it stands for both.
        np.testing.assert_array_equal(slide.show(1, 0).read_scaled(2.0), smaller(sheets[0], 2))


@pytest.mark.parametrize("sparse", [True, False])
def test_optical_paths_are_named_and_the_first_is_shown(sparse: bool, folder: Any) -> None:
    sheets = [section(seed=seed) for seed in (1, 2, 3, 4)]
    files = folder(WholeSlide().file(sheets, planes_um=(0.0, 1.0), paths=("H", "E"), sparse=sparse))
    described = reader.describe(files[0])
    assert described.slide is not None and described.slide.optical_paths == ("H", "E")
    for path, plane in itertools.product(range(2), range(2)):
        np.testing.assert_array_equal(whole(files, plane, path), sheets[path * 2 + plane])
    with pytest.raises(NoSuchFrame):
        whole(files, 0, 2)


def test_optical_paths_of_several_files_are_one_slide(folder: Any) -> None:
    made, sheets = WholeSlide(), [section(seed=seed) for seed in (1, 2)]
    files = folder(*[made.file(sheet, paths=(name,)) for sheet, name in zip(sheets, "AB", strict=True)])
    assert len(grouped(files)) == 1
    np.testing.assert_array_equal(whole(files, 0, 1), sheets[1])


def test_a_spacing_that_no_microscope_has_is_no_scale(folder: Any) -> None:
    (path,) = folder(WholeSlide().file(section(), 9000.0))
    assert reader.describe(path).pixel_spacing_um is None


def test_a_spacing_that_no_scan_has_is_said(folder: Any) -> None:
    (path,) = folder(WholeSlide().file(section(), 200.0))
    facts = reader.describe(path).facts
    assert facts.spacing_um is None
    assert [(each.code, each.attribute, each.value) for each in facts.scale_remarks] == [
        ("implausible_spacing", "PixelMeasuresSequence", "0.2 mm × 0.2 mm")
    ]


def test_magnification_and_spacing_that_contradict_each_other_leave_a_word(folder: Any) -> None:
    (path,) = folder(WholeSlide().file(section(), 0.25, paths=("1",)))  # its objective says 20×
    assert any("20× and 0.25 µm" in remark for remark in reader.describe(path).remarks)


def test_facts_of_an_older_version_have_no_part() -> None:
    assert ImageFacts.model_validate({}).slide_part is None
    assert SlidePart(role="volume", columns=1, rows=1).concatenation is None


def test_tiles_of_a_grey_slide_without_a_window_share_one_brightness(folder: Any) -> None:
    """Fluorescence: 16 bits, and a tile with little in it must stay dark beside one with much."""
    ramp = np.broadcast_to(np.linspace(0, 4000, 512).astype(np.uint16), (384, 512))
    grey: dict[str, Any] = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
    grey |= {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
    made = WholeSlide()
    contents = [made.file(ramp, 1.0, **grey), made.file(np.ascontiguousarray(ramp[::4, ::4]), 4.0, **grey)]
    shown = whole(folder(*contents))[..., 0].astype(int)
    assert (np.diff(shown[100]) >= -1).all() and shown[0, 0] < 5 and shown[0, -1] > 250


def test_a_smallest_level_of_one_tile_needs_no_place(folder: Any) -> None:
    made, pixels = WholeSlide(), section()
    files = folder(made.file(pixels), made.file(smaller(pixels, 4), 4.0, DimensionOrganizationType=""))
    assert grouped(files) == [(0, 1)]
    with slides.open_slide(files) as slide:
        assert np.array_equal(slide.read_scaled(4.0), smaller(pixels, 4))
