"""A DICOM slide is one image of its study, whatever number of files it has; its label and overview are none."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import LazySettings
from django.test import Client
from PIL import Image

from cad_platform.accounts.models import Role
from cad_platform.analysis.suitability import why_not
from cad_platform.studies import opening, slides
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.selectors import images_in_order
from inference.contract import InputContract
from tests import factories
from tests.posted_files import Hospital
from tests.whole_slides import WholeSlide, section, smaller

pytestmark = pytest.mark.django_db
CONTRACT = InputContract(modality="SM", kinds=("slide", "image"), max_images=8)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, settings: LazySettings) -> Iterator[None]:
    settings.DERIVED_CACHE_DIR = tmp_path / "derived"
    yield
    opening._recent_views._seen.clear()


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


@pytest.fixture
def pathologist(hospital: Hospital) -> Client:
    client = Client()
    client.force_login(factories.user(Role.PATHOLOGIST, hospital.site))
    return client


def post(hospital: Hospital, made: WholeSlide, contents: Sequence[bytes]) -> tuple[Study, dict[str, Any]]:
    files = {f"{number}.dcm": content for number, content in enumerate(contents)}
    response = hospital.post(None, files)
    assert response.status_code == 201, response.content
    return Study.objects.get(study_instance_uid=made.study), hospital.get(f"/{made.study}").json()


def picture(response: Any) -> Any:
    assert response.status_code == 200, response
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def series(made: WholeSlide) -> list[bytes]:
    """Level 1, label, level 0, overview, thumbnail."""
    pixels = section()
    return [
        made.file(smaller(pixels, 2), 2.0, ImageType=["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]),
        made.file(np.zeros((128, 128, 3), np.uint8), 40.0, "LABEL", SpecimenLabelInImage="YES"),
        made.file(pixels, 1.0),
        made.file(smaller(pixels, 4), 40.0, "OVERVIEW", SpecimenLabelInImage="YES"),
        made.file(smaller(pixels, 4), 4.0, "THUMBNAIL"),
    ]


def test_a_series_is_one_image(hospital: Hospital) -> None:
    made = WholeSlide()
    study, answer = post(hospital, made, series(made))
    (image,) = answer["images"]
    assert (image["kind"], image["rows"], image["columns"], image["pixel_spacing_um"]) == (
        "slide",
        384,
        512,
        1.0,
    )
    assert image["focal_planes"] == [0.0]
    kept = {each["reason"]: (each["file"], each["what"]) for each in answer["kept_aside"]}
    assert kept == {
        "label": ("1.dcm", "label of a slide"),
        "overview": ("3.dcm", "overview of a slide"),
        "thumbnail": ("4.dcm", "thumbnail of a slide"),
    }
    (head,) = images_in_order(study)
    assert why_not([head], CONTRACT) == ""
    assert len(slides.slide_of(head).files) == 2


def test_in_whatever_order_the_files_come_it_is_the_same_image(hospital: Hospital) -> None:
    uids = set()
    for order in itertools.islice(itertools.permutations(range(3)), 0, 6, 2):
        made, pixels = WholeSlide(), section()
        contents = [made.file(smaller(pixels, 2**level), float(2**level)) for level in range(3)]
        _, answer = post(hospital, made, [contents[place] for place in order])
        (image,) = answer["images"]
        uids.add((image["rows"], image["file"] == f"{order.index(0)}.dcm"))
    assert uids == {(384, True)}


def test_its_tiles_come_from_all_levels_and_its_thumbnail_is_no_label(
    hospital: Hospital, pathologist: Client
) -> None:
    made = WholeSlide()
    _, answer = post(hospital, made, series(made))
    urls = answer["images"][0]["urls"]
    slide = pathologist.get(urls["metadata"]).json()["slide"]
    assert [level["downsample"] for level in slide["levels"]] == [1.0, 2.0]
    assert (slide["width"], slide["mpp_x"], slide["focal_planes"]) == (512, 1.0, [0.0])
    base = urls["tiles"].removesuffix(".dzi") + "_files"
    pixels = section()
    assert np.abs(picture(pathologist.get(f"{base}/9/0_0.jpeg")).astype(int) - pixels[:255, :255]).mean() < 4
    coarse = smaller(pixels, 2)[:192, :255]
    assert np.abs(picture(pathologist.get(f"{base}/8/0_0.jpeg")).astype(int) - coarse).mean() < 4
    assert picture(pathologist.get(urls["thumbnail"])).mean() > 100


@pytest.mark.parametrize("kind", ["LABEL", "OVERVIEW", "THUMBNAIL"])
def test_what_is_kept_back_is_not_shown(kind: str, hospital: Hospital, pathologist: Client) -> None:
    made = WholeSlide()
    study, _ = post(hospital, made, [made.file(section()), made.file(section(128, 128), 9.0, kind)])
    for image in Instance.objects.filter(series__study=study, rows=128):
        for name in ("thumbnail", "slide.dzi", "slide_files/3/0_0.jpeg", "rendered", "pixels"):
            assert pathologist.get(f"/api/v1/images/{image.pk}/{name}").status_code == 404, name


def test_focal_planes_are_named_and_chosen(hospital: Hospital, pathologist: Client) -> None:
    made, sheets = WholeSlide(), [section(seed=seed) for seed in (1, 2, 3)]
    _, answer = post(hospital, made, [made.file(sheets, planes_um=(0.0, 1.5, 3.0))])
    image = answer["images"][0]
    assert image["focal_planes"] == [0.0, 1.5, 3.0]
    slide = pathologist.get(image["urls"]["metadata"]).json()["slide"]
    assert (slide["focal_planes"], slide["shown_plane"]) == ([0.0, 1.5, 3.0], 1)
    tile = image["urls"]["tiles"].removesuffix(".dzi") + "_files/9/0_0.jpeg"
    for query, expected in (("", 1), ("?plane=0", 0), ("?plane=2", 2), ("?plane=1&path=0", 1)):
        shown = picture(pathologist.get(tile + query)).astype(int)
        errors = [np.abs(shown - sheet[:255, :255]).mean() for sheet in sheets]
        assert int(np.argmin(errors)) == expected
    assert pathologist.get(tile + "?plane=3").status_code == 404
    assert pathologist.get(tile + "?plane=x").status_code == 422


def test_a_concatenation_is_one_image_and_a_missing_part_is_said(
    hospital: Hospital, pathologist: Client
) -> None:
    made = WholeSlide()
    parts = made.concatenation(section(), 3)
    study, answer = post(hospital, made, [parts[2], parts[0], parts[1]])
    assert len(answer["images"]) == 1 and why_not(images_in_order(study), CONTRACT) == ""
    made = WholeSlide(patient_id="SLIDE-2")
    study, answer = post(hospital, made, made.concatenation(section(), 3)[:2])
    (image,) = answer["images"]
    said = "The slide is incomplete: of its 3 parts number 3 is missing."
    assert pathologist.get(image["urls"]["metadata"]).json()["slide"]["remarks"] == [said]
    assert why_not(images_in_order(study), CONTRACT) == f"not analysed: {said}"


def test_two_slides_of_one_study_are_two_images(hospital: Hospital) -> None:
    one = WholeSlide()
    other = WholeSlide(study=one.study, container="S26-1-A2")
    contents = [each.file(smaller(section(), 2**k), float(2**k)) for each in (one, other) for k in (1, 0)]
    _, answer = post(hospital, one, contents)
    assert [image["rows"] for image in answer["images"]] == [384, 384]


def test_the_receipt_says_of_every_file_what_became_of_it(hospital: Hospital) -> None:
    made = WholeSlide()
    files = {f"{number}.dcm": content for number, content in enumerate(series(made))}
    answer = hospital.post(None, files).json()
    assert [each["status"] for each in answer["files"]] == [
        "stored",
        "kept_aside",
        "stored",
        "kept_aside",
        "kept_aside",
    ]
    assert hospital.post(None, files).status_code == 200


@pytest.mark.parametrize("first", range(4))
def test_image_by_image_it_becomes_the_same_slide(
    first: int, hospital: Hospital, settings: LazySettings
) -> None:
    made = WholeSlide()
    contents = series(made)[:4]
    for content in contents[first:] + contents[:first]:
        assert hospital.post(None, {"same.dcm": content}).status_code == 201
    answer = hospital.get(f"/{made.study}").json()
    (image,) = answer["images"]
    assert (image["rows"], image["columns"], image["pixel_spacing_um"]) == (384, 512, 1.0)
    assert sorted(each["reason"] for each in answer["kept_aside"]) == ["label", "overview"]


def test_magnification_and_scale_that_contradict_each_other_are_said(
    hospital: Hospital, pathologist: Client
) -> None:
    made = WholeSlide()
    _, answer = post(hospital, made, [made.file(section(), 0.25, paths=("1",))])  # its objective says 20×
    slide = pathologist.get(answer["images"][0]["urls"]["metadata"]).json()["slide"]
    assert "20× and 0.25 µm" in slide["remarks"][0]


def test_the_preview_of_a_mirax_slide_is_no_photograph(hospital: Hospital) -> None:
    with io.BytesIO() as buffer:
        Image.fromarray(section()).save(buffer, "JPEG")
        preview = buffer.getvalue()
    response = hospital.post({"patient": {"id": "P-1"}, "modality": "SM"}, {"slide.mrxs": preview})
    assert response.status_code == 415 and "MIRAX" in response.json()["errors"][0]["reason"]


def test_an_ome_tiff_is_a_slide_with_its_focal_planes(
    hospital: Hospital, pathologist: Client, tmp_path: Path
) -> None:
    import tifffile

    planes, path = np.stack([section(600, 800, seed) for seed in (1, 2, 3)]), tmp_path / "z.ome.tif"
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}
    options: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(planes, subifds=1, metadata={"axes": "ZYXS", **sizes}, **options)
        tiff.write(planes[:, ::2, ::2], subfiletype=1, metadata=None, **options)
    part = {"patient": {"id": "P-1"}, "modality": "SM"}
    response = hospital.post(part, {"z.ome.tif": path.read_bytes()})
    assert response.status_code == 201
    (image,) = hospital.get(f"/{response.json()['study_instance_uid']}").json()["images"]
    assert (image["kind"], image["pixel_spacing_um"], image["focal_planes"]) == (
        "slide",
        0.5,
        [0.0, 2.0, 4.0],
    )
    tile = image["urls"]["tiles"].removesuffix(".dzi") + "_files/10/1_1.jpeg?plane=2"
    shown = picture(pathologist.get(tile)).astype(int)
    assert np.abs(shown - planes[2][253:509, 253:509]).mean() < 4


def test_two_tiff_slides_of_one_post_are_two_slides(hospital: Hospital, tmp_path: Path) -> None:
    import tifffile

    files = {}
    for name, seed in (("a.tif", 1), ("b.tif", 2)):
        pixels, path = section(600, 800, seed), tmp_path / name
        with tifffile.TiffWriter(path) as tiff:
            for level in (pixels, pixels[::2, ::2]):
                small = int(level is not pixels)
                tiff.write(level, tile=(256, 256), photometric="rgb", subfiletype=small, metadata=None)
        files[name] = path.read_bytes()
    response = hospital.post({"patient": {"id": "P-1"}, "modality": "SM"}, files)
    answer = hospital.get(f"/{response.json()['study_instance_uid']}").json()
    assert sorted(image["file"] for image in answer["images"]) == ["a.tif", "b.tif"]


def test_a_label_that_comes_late_changes_nothing_of_the_study(hospital: Hospital) -> None:
    made = WholeSlide()
    study, before = post(hospital, made, [made.file(section())])
    label = made.file(section(128, 128), 9.0, "LABEL", SpecimenLabelInImage="YES")
    answer = hospital.post(None, {"label.dcm": label}).json()
    assert [each["status"] for each in answer["files"]] == ["kept_aside"]
    after = hospital.get(f"/{made.study}").json()
    assert (after["version"], after["state"]) == (before["version"], before["state"])
    assert [each["reason"] for each in after["kept_aside"]] == ["label"]
    unchanged = Study.objects.get(pk=study.pk)
    assert unchanged.content_hash == study.content_hash and unchanged.state == Study.State.COMPLETE
