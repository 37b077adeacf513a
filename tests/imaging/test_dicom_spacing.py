"""How large a pixel is: DICOM PS3.3 10.7 for radiographs, C.8.5.5 for ultrasound, and where nobody knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imaging import reader
from imaging.dicom_spacing import scale_of
from tests.imaging.dicom_headers import CC, MAGNIFICATION, header, region, view_code
from tests.imaging.grayscale_cases import file_of, noise

FACTOR = {"EstimatedRadiographicMagnificationFactor": "1.8"}
DISTANCES = {"DistanceSourceToDetector": "660", "DistanceSourceToPatient": "366"}
DETECTOR = {"ImagerPixelSpacing": ["0.1", "0.1"]}
MAGNIFIED = pytest.approx(55.6, abs=0.2)


@pytest.mark.parametrize(
    ("tags", "micrometres"),
    [
        (DETECTOR, 100.0),
        ({**DETECTOR, **FACTOR}, MAGNIFIED),
        ({**DETECTOR, **DISTANCES}, MAGNIFIED),
        ({**DETECTOR, "PixelSpacing": ["0.1", "0.1"], **FACTOR}, MAGNIFIED),
        ({**DETECTOR, "PixelSpacing": ["0.1", "0.1"], **DISTANCES}, MAGNIFIED),
        ({**DETECTOR, "PixelSpacing": ["0.0556", "0.0556"], **FACTOR}, MAGNIFIED),
        (
            {
                **DETECTOR,
                "PixelSpacing": ["0.0556", "0.0556"],
                "PixelSpacingCalibrationType": "GEOMETRY",
                **FACTOR,
            },
            MAGNIFIED,
        ),
        (
            {"PixelSpacing": ["0.0556", "0.0556"], "PixelSpacingCalibrationType": "FIDUCIAL", **FACTOR},
            MAGNIFIED,
        ),
        ({"PixelSpacing": ["0.1", "0.1"]}, 100.0),
        ({"PixelSpacing": ["0.1", "0.1"], "EstimatedRadiographicMagnificationFactor": "1.05"}, 100.0),
        ({"NominalScannedPixelSpacing": ["0.05", "0.05"]}, 50.0),
        ({"NominalScannedPixelSpacing": ["0.1", "0.1"], **FACTOR}, MAGNIFIED),
        ({**DETECTOR, "EstimatedRadiographicMagnificationFactor": "0"}, 100.0),
        (
            {
                "SharedFunctionalGroupsSequence": [
                    header(PixelMeasuresSequence=[header(PixelSpacing=["0.1", "0.1"])])
                ]
            },
            100.0,
        ),
    ],
)
def test_a_radiographs_pixel(tags: dict[str, Any], micrometres: float) -> None:
    assert scale_of(header(**tags)).spacing_um == (micrometres, micrometres)


@pytest.mark.parametrize(
    ("tags", "remark"),
    [
        ({"PixelSpacing": ["0.1", "0.1"], **FACTOR}, ("correction_unknown", "PixelSpacing", "1.8")),
        (
            {**DETECTOR, "ViewCodeSequence": [view_code(CC, MAGNIFICATION)]},
            ("magnification_unknown", "ImagerPixelSpacing", ""),
        ),
        ({**DETECTOR, "ViewPosition": "RMLO MAG"}, ("magnification_unknown", "ImagerPixelSpacing", "")),
        ({**DETECTOR, "ViewPosition": "RMLOM"}, ("magnification_unknown", "ImagerPixelSpacing", "")),
        (
            {"PixelSpacing": ["0.1", "0.1"], "ViewPosition": "LCC MAG"},
            ("magnification_unknown", "PixelSpacing", ""),
        ),
        (
            {"ImagerPixelSpacing": ["0", "0"]},
            ("implausible_spacing", "ImagerPixelSpacing", "0 mm × 0 mm"),
        ),
        (
            {"ImagerPixelSpacing": ["70", "70"]},
            ("implausible_spacing", "ImagerPixelSpacing", "70 mm × 70 mm"),
        ),
        (
            {"PixelSpacing": ["1e-5", "1e-5"]},
            ("implausible_spacing", "PixelSpacing", "1e-05 mm × 1e-05 mm"),
        ),
        ({"PixelSpacing": ["nan", "0.1"]}, None),
        ({"PixelSpacing": ["0.1"]}, ("implausible_spacing", "PixelSpacing", "0.1 mm")),
    ],
)
def test_what_is_ambiguous_or_absurd_gives_no_scale_and_says_why(
    tags: dict[str, Any], remark: tuple[str, str, str] | None
) -> None:
    scale = scale_of(header(**tags))

    assert scale.spacing_um is None
    if remark:
        assert [(each.code, each.attribute, each.value) for each in scale.remarks] == [remark]


def of_frames(*millimetres: float) -> list[Any]:
    return [header(PixelMeasuresSequence=[header(PixelSpacing=[each, each])]) for each in millimetres]


def test_frames_of_different_sizes_have_no_one_spacing() -> None:
    alike = header(PerFrameFunctionalGroupsSequence=of_frames(0.1, 0.1, 0.1))
    apart = scale_of(header(PerFrameFunctionalGroupsSequence=of_frames(0.1, 0.1, 0.2)))

    assert scale_of(alike).spacing_um == (100.0, 100.0)
    assert apart.spacing_um is None
    assert [(each.code, each.attribute) for each in apart.remarks] == [
        ("frames_differ", "PixelMeasuresSequence")
    ]


def test_a_frames_own_spacing_goes_before_the_shared_one() -> None:
    both = header(
        SharedFunctionalGroupsSequence=of_frames(0.05), PerFrameFunctionalGroupsSequence=of_frames(0.1, 0.1)
    )

    assert scale_of(both).spacing_um == (100.0, 100.0)


@pytest.mark.parametrize(
    "tags",
    [
        # the factor is left at 1, the distances are those of a magnification view
        {**DISTANCES, "EstimatedRadiographicMagnificationFactor": "1.0"},
        {**DISTANCES, "EstimatedRadiographicMagnificationFactor": "1.3"},
        # a magnification view whose factor is that of a contact view
        {"EstimatedRadiographicMagnificationFactor": "1", "ViewCodeSequence": [view_code(CC, MAGNIFICATION)]},
        {
            "DistanceSourceToDetector": "660",
            "DistanceSourceToPatient": "660",
            "ViewCodeSequence": [view_code(CC, MAGNIFICATION)],
        },
    ],
)
def test_a_magnification_that_contradicts_itself_gives_no_scale(tags: dict[str, Any]) -> None:
    scale = scale_of(header(**DETECTOR, **tags))

    assert scale.spacing_um is None
    assert [each.code for each in scale.remarks] == ["magnification_unknown"]


def test_a_stated_factor_stands_where_the_distances_are_those_of_the_table() -> None:
    tags = {"DistanceSourceToDetector": "660", "DistanceSourceToPatient": "660"}

    assert scale_of(header(**DETECTOR, **FACTOR, **tags)).spacing_um == (MAGNIFIED, MAGNIFIED)


@pytest.mark.parametrize(
    ("written", "micrometres"), [("0,070", 70.0), (",0700", 70.0), ("1,000", None), ("0,07x", None)]
)
def test_decimal_commas_are_read_where_nothing_else_can_be_meant(
    written: str, micrometres: float | None, tmp_path: Path
) -> None:
    data = file_of(noise(12, False), ImagerPixelSpacing=["0.070", "0.070"])
    assert data.count(b"0.070\\0.070") == 1
    path = tmp_path / "case.dcm"
    path.write_bytes(data.replace(b"0.070\\0.070", f"{written}\\{written}".encode()))
    found = reader.describe(path).facts.spacing_um
    assert found == (None if micrometres is None else pytest.approx((micrometres, micrometres)))


def test_a_factor_that_none_has_is_remarked_and_the_scale_stays() -> None:
    scale = scale_of(header(**DETECTOR, EstimatedRadiographicMagnificationFactor="40"))

    assert scale.spacing_um is not None
    assert [(each.code, each.value) for each in scale.remarks] == [("implausible_magnification", "40")]


def test_rows_and_columns_are_kept_apart() -> None:
    assert scale_of(header(PixelSpacing=["0.05", "0.1"])).spacing_um == (100.0, 50.0)


def test_a_shape_without_a_size_gives_no_millimetres() -> None:
    scale = scale_of(header(PixelAspectRatio=["2", "1"]))

    assert (scale.spacing_um, scale.pixel_aspect) == (None, 2.0)


def ultrasound(*regions: Any, **tags: Any) -> Any:
    return scale_of(header(Rows=240, Columns=320, SequenceOfUltrasoundRegions=list(regions), **tags))


def test_two_regions_of_two_depths_have_no_common_spacing() -> None:
    scale = ultrasound(
        region(0, 0, 159, 239),
        region(160, 0, 319, 239, PhysicalDeltaX=0.02, PhysicalDeltaY=0.02),
    )

    assert scale.spacing_um is None
    assert [(part.x0, part.x1, part.spacing_um) for part in scale.regions] == [
        (0, 160, (100.0, 100.0)),
        (160, 320, (200.0, 200.0)),
    ]


def test_a_region_keeps_its_two_directions_apart() -> None:
    scale = ultrasound(region(0, 0, 319, 239, PhysicalDeltaX=0.008, PhysicalDeltaY=-0.004))

    assert scale.spacing_um == pytest.approx((80.0, 40.0))


def test_a_doppler_trace_measures_no_lengths() -> None:
    trace = region(
        0, 120, 319, 239, RegionSpatialFormat=3, PhysicalUnitsXDirection=4, PhysicalUnitsYDirection=7
    )
    scale = ultrasound(trace, region(0, 0, 319, 119))

    assert scale.spacing_um == (100.0, 100.0)
    assert [(part.kind, part.spacing_um) for part in scale.regions] == [
        ("doppler", None),
        ("2d", (100.0, 100.0)),
    ]


def test_the_region_on_top_comes_first() -> None:
    below = region(0, 0, 319, 239, RegionFlags=1)
    above = region(10, 10, 50, 50, RegionFlags=0, PhysicalDeltaX=0.02, PhysicalDeltaY=0.02)

    assert [part.x0 for part in ultrasound(below, above).regions] == [10, 0]


def test_a_region_within_another_lies_on_top_of_it() -> None:
    whole = region(0, 0, 319, 239)
    inset = region(200, 100, 300, 200, PhysicalDeltaX=0.005, PhysicalDeltaY=0.005)
    beside = region(0, 0, 100, 100, PhysicalDeltaX=0.03, PhysicalDeltaY=0.03)

    assert [part.x0 for part in ultrasound(whole, inset).regions] == [200, 0]
    assert [part.x1 for part in ultrasound(whole, beside, inset).regions] == [101, 301, 320]


def test_a_region_may_name_its_corners_in_any_order_and_is_no_point() -> None:
    turned = ultrasound(region(159, 239, 10, 0))
    point = ultrasound(region(0, 0, 0, 0))

    assert [(part.x0, part.x1, part.y1) for part in turned.regions] == [(10, 160, 240)]
    assert (point.spacing_um, point.regions) == (None, ())
    assert [each.code for each in point.remarks] == ["region_outside"]


def test_regions_are_cut_to_the_picture_and_those_outside_it_are_left_out() -> None:
    scale = ultrasound(region(300, 200, 900, 900), region(400, 0, 500, 100))

    assert [(part.x1, part.y1) for part in scale.regions] == [(320, 240)]
    assert [each.code for each in scale.remarks] == ["region_outside"]


def test_what_is_said_of_the_whole_picture_is_not_true_of_regions_without_lengths() -> None:
    trace = region(
        0, 0, 319, 239, RegionSpatialFormat=3, PhysicalUnitsXDirection=4, PhysicalUnitsYDirection=7
    )
    scale = ultrasound(trace, PixelSpacing=["0.1", "0.1"])

    assert (scale.spacing_um, scale.source) == (None, None)


@pytest.mark.parametrize(
    ("deltas", "spacing"), [((-0.01, 0.01), (100.0, 100.0)), ((0, 0), None), ((0.01, 0), None)]
)
def test_deltas_may_be_negative_and_never_nothing(deltas: Any, spacing: Any) -> None:
    scale = ultrasound(region(0, 0, 319, 239, PhysicalDeltaX=deltas[0], PhysicalDeltaY=deltas[1]))

    assert scale.spacing_um == spacing


def test_of_two_regions_in_one_place_there_is_no_one_number() -> None:
    scale = ultrasound(
        region(0, 0, 319, 239), region(0, 0, 319, 239, PhysicalDeltaX=0.02, PhysicalDeltaY=0.02)
    )

    assert scale.spacing_um is None
