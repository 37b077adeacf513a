"""Which images of a study hang, which the models read, which are kept aside; for every kind that hospitals send."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cad_platform.studies.models import Instance, Series
from cad_platform.studies.sorting import REASONS, SortedImage, scored, sort_images
from imaging.description import ImageFacts

MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"
RAW = "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_number = itertools.count(1)


def image(side: str = "L", view: str = "CC", *, modality: str = "MG", **fields: Any) -> Instance:
    """An unsaved row; what is no field of it is a fact of its file."""
    facts = {name: fields.pop(name) for name in list(fields) if name in ImageFacts.model_fields}
    if isinstance(facts.get("image_type"), str):
        facts["image_type"] = tuple(facts["image_type"].split("\\"))
    defaults = {"kind": "dicom", "rows": 100, "columns": 80, "sop_class_uid": MAMMOGRAM}
    return Instance(
        series=Series(modality=modality),
        laterality=side,
        view_position=view,
        number=next(_number),
        facts=ImageFacts(**facts).model_dump(mode="json", exclude_defaults=True),
        **{**defaults, **fields},
    )


def raw(side: str = "L", view: str = "CC", **fields: Any) -> Instance:
    return image(side, view, sop_class_uid=RAW, presentation_intent="FOR PROCESSING", **fields)


def sort(*images: Instance, modalities: tuple[str, ...] = ("MG",)) -> list[SortedImage]:
    return sort_images(modalities, images)


def named(found: list[SortedImage]) -> list[tuple[str, str, str]]:
    return [(each.place_name, " ".join(each.roles), each.reason_code) for each in found]


def of(found: list[SortedImage], instance: Instance) -> SortedImage:
    return next(each for each in found if each.instance is instance)


def test_four_views_hang_back_to_back_and_are_read() -> None:
    exam = [image(side, view) for view in ("MLO", "CC") for side in "LR"]

    assert named(sort(*exam)) == [
        ("R CC", "hung scored", ""),
        ("L CC", "hung scored", ""),
        ("R MLO", "hung scored", ""),
        ("L MLO", "hung scored", ""),
    ]


def test_raw_images_beside_processed_ones_are_kept_aside() -> None:
    exam = [make(side, view) for make in (raw, image) for side in "RL" for view in ("CC", "MLO")]

    found = sort(*exam)

    assert [each.roles for each in found] == [("hung", "scored")] * 4 + [("kept_aside",)] * 4
    assert {each.reason_code for each in found[4:]} == {"raw"}
    assert found[4].reason


def test_a_raw_view_without_its_processed_one_hangs_and_is_not_read() -> None:
    found = sort(raw("L", "CC"), image("L", "MLO"), image("R", "CC"))

    assert ("L CC", "hung", "raw_alone") in named(found)


def test_raw_images_alone_hang_and_are_not_read() -> None:
    assert {tuple(each.roles) for each in sort(raw("L"), raw("R"))} == {("hung",)}


def test_a_raw_image_that_does_not_say_its_view_is_kept_aside_beside_processed_ones() -> None:
    assert sort(raw("", ""), image("L", "CC"))[1].reason_code == "raw"


def test_the_intent_counts_more_than_the_class_and_the_class_where_it_is_silent() -> None:
    assert sort(image(sop_class_uid=RAW, presentation_intent="FOR PRESENTATION"))[0].is_scored
    assert not sort(image(sop_class_uid=RAW, presentation_intent=""))[0].is_scored


def test_implant_displaced_views_are_named_apart_and_come_after_the_plain_ones() -> None:
    exam = [
        image(side, view, view_modifiers=modifiers)
        for modifiers in (("ID",), ())
        for side in "RL"
        for view in ("CC", "MLO")
    ]

    assert [name for name, *_ in named(sort(*exam))] == [
        "R CC", "R CC ID", "L CC", "L CC ID", "R MLO", "R MLO ID", "L MLO", "L MLO ID",
    ]  # fmt: skip


def test_repeated_views_all_hang_in_the_order_of_acquisition() -> None:
    first, second, third = (image("L", "CC") for _ in range(3))

    assert [each.instance for each in sort(first, second, third)] == [first, second, third]
    assert all(each.is_scored for each in sort(first, second, third))


@pytest.mark.parametrize("modifier", ["S", "M", "TAN", "CV", "AT", "AX", "IMF"])
def test_special_views_hang_and_are_not_read(modifier: str) -> None:
    special = image("L", "CC", view_modifiers=(modifier,))

    found = of(sort(special, image("L", "CC")), special)
    assert (found.roles, found.reason_code) == (("hung",), "special_view")
    assert modifier in found.reason


@pytest.mark.parametrize("modifier", ["ID", "RL", "RM", "RI", "RS", "NP", "AC", "MOSAIC"])
def test_whole_views_are_read_however_the_breast_was_placed(modifier: str) -> None:
    assert sort(image("L", "CC", view_modifiers=(modifier,)))[0].is_scored


@pytest.mark.parametrize(
    "view", ["ML", "LM", "LMO", "XCC", "XCCL", "XCCM", "FB", "SIO", "ISO", "", "WHATEVER"]
)
def test_other_projections_are_read(view: str) -> None:
    assert sort(image("L", view))[0].is_scored


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"specimen": True}, "specimen"),
        ({"quality_control": True}, "quality_control"),
        ({"image_type": "ORIGINAL\\PRIMARY\\LOCALIZER"}, "localizer"),
        ({"sop_class_uid": SECONDARY_CAPTURE, "conversion_type": "WSD"}, "screen"),
        ({"sop_class_uid": SECONDARY_CAPTURE, "conversion_type": "SD"}, "screen"),
    ],
)
def test_what_is_no_picture_of_a_breast_is_kept_aside(fields: dict[str, Any], reason: str) -> None:
    other = image("L", "", **fields)

    found = of(sort(other, image("L", "CC")), other)
    assert (found.roles, found.reason_code) == (("kept_aside",), reason)
    assert found.reason


@pytest.mark.parametrize("fact", ["specimen", "quality_control"])
def test_a_study_of_nothing_else_shows_it_and_reads_nothing(fact: str) -> None:
    found = sort(image("L", "", **{fact: True}), image("R", "", **{fact: True}))

    assert {each.roles for each in found} == {("hung",)}
    assert scored(found, "MG") == []


def test_a_digitised_film_is_an_image_beside_others_and_alone() -> None:
    film = image("L", "CC", sop_class_uid=SECONDARY_CAPTURE, conversion_type="DF")

    assert of(sort(film, image("R", "CC")), film).is_scored
    assert sort(film)[0].is_scored


def test_captures_alone_are_what_the_hospital_has() -> None:
    captured = [image(side, "CC", sop_class_uid=SECONDARY_CAPTURE, conversion_type="WSD") for side in "LR"]

    assert all(each.is_scored for each in sort(*captured))


def test_projections_are_kept_aside_beside_the_slices_made_of_them() -> None:
    volume = image("L", "MLO", sop_class_uid=TOMOSYNTHESIS, frames=60)
    projection = image("L", "MLO", image_type="ORIGINAL\\PRIMARY\\TOMO_PROJ")

    found = sort(volume, projection)
    assert (of(found, volume).roles, of(found, projection).roles) == (("hung", "scored"), ("kept_aside",))
    assert sort(projection)[0].roles == ("hung",)


@pytest.mark.parametrize(
    "kind", ["DERIVED\\PRIMARY\\TOMO_2D\\GENERATED_2D", "DERIVED\\PRIMARY\\TOMOSYNTHESIS\\GENERATED_2D"]
)
def test_a_synthetic_view_is_read_where_there_is_no_acquired_one(kind: str) -> None:
    synthetic, acquired = image("L", "CC", image_type=kind), image("L", "CC")

    assert of(sort(synthetic, acquired), synthetic).roles == ("hung",)
    assert of(sort(synthetic, acquired), acquired).is_scored
    assert sort(synthetic, image("R", "CC"))[1].is_scored


def test_a_copy_is_read_where_there_is_no_acquired_image_of_its_view() -> None:
    copy, acquired = image("L", "CC", image_type="DERIVED\\SECONDARY\\\\CAD"), image("L", "CC")
    assert sort(copy)[0].is_scored
    assert of(sort(copy, acquired), copy).roles == ("hung",)
    assert of(sort(copy, acquired), copy).reason
    assert of(sort(copy, acquired), acquired).is_scored
    assert of(sort(copy, image("L", "MLO")), copy).is_scored
    processed = image("L", "CC", image_type="DERIVED\\PRIMARY")
    assert of(sort(processed, acquired), processed).is_scored


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("DERIVED\\PRIMARY\\\\SUBTRACTION", "contrast"),
        ("ORIGINAL\\PRIMARY\\\\\\HIGH_ENERGY", "contrast"),
        ("ORIGINAL\\PRIMARY\\STEREO_SCOUT", "biopsy"),
        ("ORIGINAL\\PRIMARY\\POSTFIRE_PLUS", "biopsy"),
    ],
)
def test_biopsy_and_contrast_images_hang_and_are_not_read(kind: str, reason: str) -> None:
    found = sort(image("L", "CC", image_type=kind))[0]

    assert (found.roles, found.reason_code) == (("hung",), reason)


def test_the_low_energy_image_is_the_mammogram() -> None:
    assert sort(image("L", "CC", image_type="ORIGINAL\\PRIMARY\\\\\\LOW_ENERGY"))[0].is_scored


def test_partial_views_are_read() -> None:
    assert sort(image("L", "CC", partial_view=True))[0].is_scored


def test_each_modality_of_a_study_has_images_for_its_own_model() -> None:
    scan = image("L", "", modality="US", sop_class_uid="1.2.840.10008.5.1.4.1.1.6.1")
    found = sort(scan, image("L", "CC"), modalities=("MG", "US"))

    assert [each.modality for each in found] == ["MG", "US"]
    assert [each.instance for each in scored(found, "US")] == [scan]


def test_ultrasound_hangs_as_it_was_acquired_and_has_no_chest_wall() -> None:
    scans = [image(side, "", modality="US", chest_wall="right") for side in "LRL"]

    found = sort(*scans, modalities=("US",))
    assert [each.instance for each in found] == scans
    assert not any(each.side.stop or each.turned.mirror for each in found)


def test_rows_of_earlier_versions_have_no_facts_and_hang_as_before() -> None:
    old = image("L", "CC")
    old.facts = {}

    found = sort(old)[0]
    assert (found.roles, found.side.laterality, found.side.stop, found.turned.mirror) == (
        ("hung", "scored"), "L", "", False,
    )  # fmt: skip


KINDS = st.fixed_dictionaries(
    {
        "side": st.sampled_from(["L", "R", ""]),
        "view": st.sampled_from(["CC", "MLO", "ML", "", "FOO"]),
        "view_modifiers": st.sampled_from([(), ("ID",), ("S",), ("M", "S")]),
        "presentation_intent": st.sampled_from(["", "FOR PRESENTATION", "FOR PROCESSING"]),
        "sop_class_uid": st.sampled_from([MAMMOGRAM, RAW, TOMOSYNTHESIS, SECONDARY_CAPTURE, ""]),
        "image_type": st.sampled_from(
            ["", "ORIGINAL\\PRIMARY\\TOMO_PROJ", "DERIVED\\PRIMARY\\TOMO_2D\\GENERATED_2D"]
        ),
        "conversion_type": st.sampled_from(["", "WSD", "DF"]),
        "specimen": st.booleans(),
        "quality_control": st.booleans(),
        "modality": st.sampled_from(["MG", "US", "OT"]),
    }
)


#: On a machine that is busy with all the other tests, nothing is said by how long it takes.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PATIENT
@given(st.lists(KINDS, min_size=1, max_size=12))
def test_whatever_comes_every_image_has_its_place_and_something_hangs(kinds: list[dict[str, Any]]) -> None:
    images = [image(**dict(kind)) for kind in kinds]

    found = sort(*images, modalities=("MG", "US"))

    assert sorted(map(id, (each.instance for each in found))) == sorted(map(id, images))
    assert any("hung" in each.roles for each in found)
    for each in found:
        assert each.roles in {("hung", "scored"), ("hung",), ("kept_aside",)}
        assert (each.reason == "") == each.is_scored
        assert each.reason_code == "" or each.reason_code in REASONS
    kept = [each.is_kept_aside for each in found]
    assert kept == sorted(kept)


@PATIENT
@given(st.lists(KINDS, min_size=1, max_size=8), st.randoms())
def test_what_is_read_does_not_depend_on_the_order_of_arrival(
    kinds: list[dict[str, Any]], random: Any
) -> None:
    images = [image(**dict(kind)) for kind in kinds]
    shuffled = list(images)
    random.shuffle(shuffled)

    roles = {id(each.instance): each.roles for each in sort(*images, modalities=("MG", "US"))}
    assert roles == {id(each.instance): each.roles for each in sort(*shuffled, modalities=("MG", "US"))}
