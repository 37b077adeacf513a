"""A slide is a series: levels, parts, label and overview in whatever order they come."""

from __future__ import annotations

import io
import itertools
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, generate_uid

from tests.field.files import item, patient
from tests.posted_files import Hospital

pytestmark = pytest.mark.django_db

SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
TILE = 64
Picture = NDArray[np.uint8]


def section(rows: int = 192, columns: int = 256) -> Picture:
    """Stained tissue on glass."""
    y, x = np.mgrid[0:rows, 0:columns]
    inside = np.hypot((y - rows / 2) / (rows * 0.42), (x - columns / 2) / (columns * 0.44)) < 1
    grain = np.random.default_rng(1).integers(-12, 12, (rows, columns))
    picture = np.full((rows, columns, 3), 243, np.uint8)
    for channel, level in enumerate((200, 130, 180)):
        picture[inside, channel] = (level + grain)[inside]
    return picture


def tiles_of(picture: Picture) -> list[Picture]:
    rows, columns = picture.shape[:2]
    padded = np.full((-(-rows // TILE) * TILE, -(-columns // TILE) * TILE, 3), 243, np.uint8)
    padded[:rows, :columns] = picture
    corners = itertools.product(range(0, padded.shape[0], TILE), range(0, padded.shape[1], TILE))
    return [padded[y : y + TILE, x : x + TILE] for y, x in corners]


def instance(
    picture: Picture, mpp: float, kind: str = "VOLUME", frames: list[Picture] | None = None, **tags: Any
) -> bytes:
    """One instance of a slide, TILED_FULL unless `tags` say otherwise."""
    made = Dataset()
    frames = tiles_of(picture) if frames is None else frames
    encoded = [
        imagecodecs.jpeg8_encode(frame, level=80, colorspace="rgb", outcolorspace="ycbcr", subsampling="422")
        for frame in frames
    ]
    values: dict[str, Any] = {
        "SOPClassUID": SLIDE, "SOPInstanceUID": generate_uid(), "Modality": "SM",
        "PatientName": "Field^Test", "StudyDate": "20260102", "SeriesNumber": 1, "InstanceNumber": 1,
        "ImageType": ["ORIGINAL", "PRIMARY", kind, "NONE"], "ContainerIdentifier": "S1",
        "Rows": TILE, "Columns": TILE, "SamplesPerPixel": 3, "PlanarConfiguration": 0,
        "PhotometricInterpretation": "YBR_FULL_422", "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
        "PixelRepresentation": 0, "NumberOfFrames": len(frames),
        "TotalPixelMatrixRows": picture.shape[0], "TotalPixelMatrixColumns": picture.shape[1],
        "DimensionOrganizationType": "TILED_FULL",
        "SharedFunctionalGroupsSequence": [
            item(PixelMeasuresSequence=[item(PixelSpacing=[mpp / 1000, mpp / 1000])])
        ],
    }  # fmt: skip
    for keyword, value in {**values, **tags}.items():
        if value is not None:
            setattr(made, keyword, value)
    made.PixelData = encapsulate(encoded)
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.file_meta.MediaStorageSOPClassUID = SLIDE
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    with io.BytesIO() as buffer:
        dcmwrite(buffer, made, enforce_file_format=True)
        return buffer.getvalue()


def same() -> dict[str, Any]:
    return {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "PatientID": patient()}


def series(**tags: Any) -> dict[str, bytes]:
    one = {**same(), **tags}
    fine, coarse = section(), section()[::2, ::2]
    label = np.full((TILE, TILE, 3), 255, np.uint8)
    return {
        "a-level1.dcm": instance(coarse, 2.0, ImageType=["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"], **one),
        "b-label.dcm": instance(label, 1.0, "LABEL", SpecimenLabelInImage="YES", **one),
        "c-level0.dcm": instance(fine, 1.0, **one),
        "d-overview.dcm": instance(coarse, 40.0, "OVERVIEW", SpecimenLabelInImage="YES", **one),
    }


def answer_to(hospital: Hospital, files: dict[str, bytes]) -> dict[str, Any]:
    answer = hospital.post(None, files)
    assert answer.status_code in {200, 201}, answer.content
    found: dict[str, Any] = hospital.client.get(answer.json()["url"]).json()
    return found


def levels_of(hospital: Hospital, study: dict[str, Any]) -> list[tuple[int, int]]:
    (slide,) = study["images"]
    assert slide["kind"] == "slide"
    facts = hospital.client.get(slide["urls"]["metadata"]).json()
    assert hospital.client.get(slide["urls"]["tiles"]).status_code == 200
    return [(level["width"], level["height"]) for level in facts["slide"]["levels"]]


def check(hospital: Hospital, study: dict[str, Any]) -> None:
    assert levels_of(hospital, study) == [(256, 192), (128, 96)]
    assert {each["file"] for each in study["kept_aside"]} == {"b-label.dcm", "d-overview.dcm"}
    assert study["images"][0]["pixel_spacing_um"] == pytest.approx(1.0)


def test_a_slide_is_one_entry_and_its_label_is_kept_back() -> None:
    hospital = Hospital()
    check(hospital, answer_to(hospital, series()))


def test_a_pyramid_uid_binds_levels_of_several_series() -> None:
    hospital = Hospital()
    files = series(PyramidUID=generate_uid(), SeriesInstanceUID=None)
    check(hospital, answer_to(hospital, files))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0)])
def test_a_slide_that_comes_file_by_file(order: tuple[int, ...]) -> None:
    hospital = Hospital()
    files = list(series().items())
    for number in order:
        name, data = files[number]
        assert hospital.post(None, {name: data}).status_code == 201
    check(hospital, answer_to(hospital, dict(files)))


@pytest.mark.parametrize("turned", [False, True])
def test_a_level_in_two_parts_is_one_slide(turned: bool) -> None:
    hospital = Hospital()
    one = same()
    picture = section()
    frames = tiles_of(picture)
    half = len(frames) // 2
    shared = {
        **one,
        "ConcatenationUID": generate_uid(),
        "InConcatenationTotalNumber": 2,
        "SOPInstanceUIDOfConcatenationSource": generate_uid(),
    }
    files = {
        f"part{number}.dcm": instance(
            picture,
            1.0,
            frames=part,
            InConcatenationNumber=number,
            ConcatenationFrameOffsetNumber=offset,
            **shared,
        )
        for number, offset, part in ((1, 0, frames[:half]), (2, half, frames[half:]))
    }
    if turned:
        files = dict(reversed(files.items()))
    assert levels_of(hospital, answer_to(hospital, files)) == [(256, 192)]


def test_tiles_that_say_where_they_lie() -> None:
    hospital = Hospital()
    picture = section()
    frames = tiles_of(picture)
    places = list(itertools.product(range(0, 192, TILE), range(0, 256, TILE)))
    kept = [number for number in range(len(frames)) if number % 3]
    groups = [
        item(
            PlanePositionSlideSequence=[
                item(
                    ColumnPositionInTotalImagePixelMatrix=places[number][1] + 1,
                    RowPositionInTotalImagePixelMatrix=places[number][0] + 1,
                )
            ]
        )
        for number in kept
    ]
    data = instance(
        picture, 1.0, frames=[frames[number] for number in kept],
        DimensionOrganizationType="TILED_SPARSE", PerFrameFunctionalGroupsSequence=groups, **same(),
    )  # fmt: skip
    assert levels_of(hospital, answer_to(hospital, {"sparse.dcm": data})) == [(256, 192)]


def test_focal_planes_are_named() -> None:
    hospital = Hospital()
    picture = section()
    data = instance(
        picture,
        1.0,
        frames=[*tiles_of(picture), *tiles_of(picture // 2)],
        TotalPixelMatrixFocalPlanes=2,
        **same(),
    )
    (slide,) = answer_to(hospital, {"planes.dcm": data})["images"]
    assert slide["kind"] == "slide" and len(slide["focal_planes"]) == 2


@pytest.mark.parametrize("side", [1536, 6000])
def test_a_pyramid_in_sub_images_is_a_slide(side: int) -> None:
    hospital = Hospital()
    picture = np.kron(section(side // 64, side // 64), np.ones((64, 64, 1), np.uint8))[:side, :side]
    with io.BytesIO() as buffer:
        with tifffile.TiffWriter(buffer, bigtiff=True, ome=True) as writer:
            kind: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb", "compression": "jpeg"}
            size = {
                "PhysicalSizeX": 0.5,
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": 0.5,
                "PhysicalSizeYUnit": "µm",
            }
            writer.write(picture, subifds=2, metadata={"axes": "YXS", **size}, **kind)
            for level in (1, 2):
                writer.write(picture[:: 2**level, :: 2**level], subfiletype=1, metadata=None, **kind)
        data = buffer.getvalue()
    answer = hospital.post({"patient": {"id": patient()}, "modality": "SM"}, {"slide.ome.tif": data})
    assert answer.status_code == 201, answer.content
    study = hospital.client.get(answer.json()["url"]).json()
    assert len(levels_of(hospital, study)) == 3
    assert study["images"][0]["pixel_spacing_um"] == pytest.approx(0.5)
