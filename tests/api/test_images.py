"""Images over HTTP: the right pixels to whoever may see them, nothing to anybody else, and a record of it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import tifffile
from django.conf import LazySettings
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian

from cad_platform.accounts import tokens
from cad_platform.accounts.models import Role, Site, User
from cad_platform.analysis.models import Artefact
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.studies import opening, pixels, storage
from cad_platform.studies.models import Instance, Slide
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, settings: LazySettings) -> Iterator[None]:
    settings.DERIVED_CACHE_DIR = tmp_path / "derived"
    yield
    opening._recent_views._seen.clear()


@pytest.fixture
def clinic() -> Site:
    return factories.site()


@pytest.fixture
def radiologist(clinic: Site) -> User:
    return factories.user(Role.RADIOLOGIST, clinic)


@pytest.fixture
def browser(radiologist: User) -> Client:
    return signed_in(radiologist)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def stored(
    at: Site, content: bytes, media_type: str, tmp_path: Path, modality: str = "MG", **fields: Any
) -> Instance:
    with transaction.atomic():
        file = storage.store_bytes(content, media_type)
        return factories.instance(factories.study(at, modality), file=file, **fields)


GRADIENT = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40)


def png(values: np.ndarray) -> bytes:
    into = io.BytesIO()
    Image.fromarray(values).save(into, "PNG")
    return into.getvalue()


def dicom(values: np.ndarray, photometric: str = "MONOCHROME1") -> bytes:
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    header = pydicom.Dataset()
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    header.Modality, header.PhotometricInterpretation, header.SamplesPerPixel = "MG", photometric, 1
    header.Rows, header.Columns = values.shape
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.WindowCenter, header.WindowWidth = 600, 1200
    header.PixelData = values.astype("<u2").tobytes()
    into = io.BytesIO()
    header.save_as(into, enforce_file_format=True)
    return into.getvalue()


def dicom_clip(frames: np.ndarray) -> bytes:
    """Frames of 12 bits without a window."""
    header = pydicom.dcmread(io.BytesIO(dicom(frames[0], "MONOCHROME2")))
    del header.WindowCenter, header.WindowWidth
    header.NumberOfFrames, header.PixelData = len(frames), frames.astype("<u2").tobytes()
    into = io.BytesIO()
    header.save_as(into)
    return into.getvalue()


@pytest.fixture
def film(clinic: Site, tmp_path: Path) -> Instance:
    """A 12-bit film, MONOCHROME1, 40 × 30."""
    return stored(
        clinic,
        dicom(GRADIENT),
        "application/dicom",
        tmp_path,
        kind="dicom",
        rows=30,
        columns=40,
        bits_stored=12,
        file_name="film.dcm",
    )


@pytest.fixture
def photograph(clinic: Site, tmp_path: Path) -> Instance:
    """A colour picture, 400 × 300."""
    colour = np.zeros((300, 400, 3), np.uint8)
    colour[..., 0] = np.arange(400) // 2
    colour[..., 2] = 77
    return stored(
        clinic, png(colour), "image/png", tmp_path, "SM", rows=300, columns=400, samples=3, file_name="f.png"
    )


@pytest.fixture
def slide(clinic: Site, tmp_path: Path) -> Instance:
    """A pyramid of two levels, 1024 × 768, red left of the middle and blue right of it."""
    full = np.zeros((768, 1024, 3), np.uint8)
    full[:, :512, 0] = full[:, 512:, 2] = 200
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as writer:
        options: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb", "compression": "deflate"}
        writer.write(full, **options)
        writer.write(full[::4, ::4], subfiletype=1, **options)
    instance = stored(
        clinic,
        path.read_bytes(),
        "image/tiff",
        tmp_path,
        "SM",
        kind="slide",
        rows=768,
        columns=1024,
        samples=3,
    )
    levels = [{"width": 1024, "height": 768, "downsample": 1}, {"width": 256, "height": 192, "downsample": 4}]
    Slide.objects.create(instance=instance, mpp_x=0.5, mpp_y=0.5, objective_power=20, levels=levels)
    return instance


def body(response: Any) -> bytes:
    return b"".join(response) if response.streaming else response.content


def address(name: str, instance: Instance, *more: Any) -> str:
    return reverse(name, args=[instance.pk, *more])


# --- the pixels ----------------------------------------------------------------------------------------


def test_metadata_say_how_to_show_a_film(browser: Client, film: Instance) -> None:
    answer = browser.get(address("image-metadata", film)).json()
    assert (answer["rows"], answer["columns"], answer["frames"], answer["samples"]) == (30, 40, 1, 1)
    assert (answer["bits_allocated"], answer["signed"]) == (16, False)
    assert answer["photometric"] == "MONOCHROME1"
    assert answer["window"] == {"center": 600, "width": 1200}
    assert (answer["min"], answer["max"]) == (0, 1199)
    assert (answer["laterality"], answer["view"], answer["slide"]) == ("L", "CC", None)
    assert answer["urls"]["pixels"] == "http://testserver" + address("image-pixels", film)


def test_a_films_pixels_are_its_stored_values(browser: Client, film: Instance) -> None:
    response = browser.get(address("image-pixels", film))
    assert response["Content-Type"] == "application/octet-stream"
    values = np.frombuffer(body(response), "<u2").reshape(30, 40)
    assert np.array_equal(values, GRADIENT)


def drawn(browser: Client, image: Instance, frame: int) -> np.ndarray:
    """A frame as a viewer draws it: its pixels by its table."""
    facts = browser.get(address("image-metadata", image), {"frame": frame}).json()
    values = np.frombuffer(body(browser.get(address("image-pixels", image), {"frame": frame})), "<u2")
    table = np.frombuffer(base64.b64decode(facts["display"]["table"]), np.uint8)
    index = np.clip(values.astype(int) - facts["display"]["first"], 0, len(table) - 1)
    return table[index].reshape(facts["rows"], facts["columns"])


def rendering(browser: Client, image: Instance, frame: int) -> np.ndarray:
    with Image.open(
        io.BytesIO(body(browser.get(address("image-rendered", image), {"frame": frame})))
    ) as png_file:
        return np.asarray(png_file)


def test_the_table_of_a_film_gives_what_is_rendered(browser: Client, film: Instance) -> None:
    assert np.array_equal(drawn(browser, film, 0), rendering(browser, film, 0))


def test_every_frame_has_its_table_window_and_extremes(browser: Client, clinic: Site, tmp_path: Path) -> None:
    frames = np.stack([GRADIENT, GRADIENT // 4])
    clip = stored(
        clinic, dicom_clip(frames), "application/dicom", tmp_path, kind="dicom", rows=30, columns=40, frames=2
    )
    for frame, values in enumerate(frames):
        facts = browser.get(address("image-metadata", clip), {"frame": frame}).json()
        assert (facts["min"], facts["max"]) == (values.min(), values.max())
        assert not facts["frames_alike"] and facts["window_function"] == "LINEAR"
        assert np.array_equal(drawn(browser, clip, frame), rendering(browser, clip, frame))
        assert rendering(browser, clip, frame).max() == 255
    assert browser.get(address("image-metadata", clip), {"frame": 2}).status_code == 404


def test_colour_has_no_table(browser: Client, photograph: Instance, slide: Instance) -> None:
    for image in (photograph, slide):
        facts = browser.get(address("image-metadata", image)).json()
        assert (facts["display"], facts["window"], facts["windows"]) == (None, None, [])


def test_colour_comes_as_interleaved_rgb(browser: Client, photograph: Instance) -> None:
    metadata = browser.get(address("image-metadata", photograph)).json()
    assert (metadata["samples"], metadata["bits_allocated"], metadata["photometric"]) == (3, 8, "RGB")
    values = np.frombuffer(body(browser.get(address("image-pixels", photograph))), np.uint8)
    assert values.reshape(300, 400, 3)[10, 300].tolist() == [150, 0, 77]


def test_a_thumbnail_is_small_and_a_rendering_is_whole(
    browser: Client, film: Instance, photograph: Instance
) -> None:
    with Image.open(io.BytesIO(body(browser.get(address("image-thumbnail", photograph))))) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (320, 240))
    with Image.open(io.BytesIO(body(browser.get(address("image-rendered", film))))) as rendering:
        assert (rendering.format, rendering.size, rendering.mode) == ("PNG", (40, 30), "L")
        shown = np.asarray(rendering)
    # MONOCHROME1: the lowest stored value is the brightest.
    assert shown[0, 0] > 250 and shown[-1, -1] < 5


def test_the_original_file_comes_back_byte_for_byte(browser: Client, film: Instance) -> None:
    response = browser.get(address("image-file", film))
    with storage.open(film.file_id) as path:
        assert body(response) == path.read_bytes()
    assert response["Content-Type"] == "application/dicom"
    assert response["Content-Disposition"] == 'attachment; filename="film.dcm"'
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\r\nSet-Cookie: x", '"; filename="b.exe', "\u202egnp.exe", ".."]
)
def test_a_hostile_file_name_stays_a_name(browser: Client, film: Instance, name: str) -> None:
    Instance.objects.filter(pk=film.pk).update(file_name=name)
    given = browser.get(address("image-file", film))["Content-Disposition"]
    assert given.startswith("attachment; filename")
    assert not set(given) & set("\r\n/\u202e")


def test_a_slide_is_served_in_deep_zoom_tiles(browser: Client, slide: Instance) -> None:
    metadata = browser.get(address("image-metadata", slide)).json()
    assert metadata["slide"]["width"] == 1024 and metadata["slide"]["tile_size"] == 254
    assert metadata["window"] is None and metadata["urls"]["pixels"] is None
    description = body(browser.get(metadata["urls"]["tiles"])).decode()
    assert 'TileSize="254"' in description and 'Width="1024"' in description
    with Image.open(io.BytesIO(body(browser.get(address("image-tile", slide, 10, 0, 0))))) as tile:
        assert tile.size == (255, 255)
        red, _, blue = tile.getpixel((100, 100))  # type: ignore[misc]
        assert red > 150 > 50 > blue
    with Image.open(io.BytesIO(body(browser.get(address("image-tile", slide, 10, 3, 1))))) as tile:
        red, _, blue = tile.getpixel((100, 100))  # type: ignore[misc]
        assert blue > 150 > 50 > red
    with Image.open(io.BytesIO(body(browser.get(address("image-thumbnail", slide))))) as thumbnail:
        assert thumbnail.size == (320, 240)


def test_what_an_image_does_not_have_is_not_found(browser: Client, film: Instance, slide: Instance) -> None:
    for missing in (
        address("image-pixels", film) + "?frame=1",
        address("image-rendered", film) + "?frame=7",
        address("image-dzi", film),
        address("image-tile", film, 0, 0, 0),
        address("image-pixels", slide),
        address("image-rendered", slide),
        address("image-tile", slide, 10, 99, 0),
        address("image-tile", slide, 99, 0, 0),
    ):
        response = browser.get(missing)
        assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json"), missing


def test_a_frame_that_is_no_number_is_refused(browser: Client, film: Instance) -> None:
    for wrong in ("x", "-1", "1e3", "٣", "9" * 30):
        assert browser.get(address("image-pixels", film), {"frame": wrong}).status_code == 422


def test_a_file_that_cannot_be_decoded_says_so(browser: Client, clinic: Site, tmp_path: Path) -> None:
    broken = stored(clinic, png(np.zeros((9, 9), np.uint8))[:40], "image/png", tmp_path, rows=9, columns=9)
    response = browser.get(address("image-pixels", broken))
    assert response.status_code == 422
    assert response.json()["detail"].startswith("The image cannot be shown: ")


def test_an_image_that_the_client_has_is_not_sent_again(browser: Client, film: Instance) -> None:
    for name in ("image-pixels", "image-thumbnail", "image-rendered", "image-file"):
        first = browser.get(address(name, film))
        assert first["Cache-Control"] == "private, max-age=3600, immutable"
        again = browser.get(address(name, film), headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, body(again)) == (304, b""), name


def test_head_and_ranges_are_answered(browser: Client, film: Instance) -> None:
    head = browser.head(address("image-pixels", film))
    assert (head.status_code, head["Content-Length"], body(head)) == (200, "2400", b"")
    part = browser.get(address("image-pixels", film), headers={"Range": "bytes=2-5"})
    assert (part.status_code, body(part)) == (206, GRADIENT.astype("<u2").tobytes()[2:6])


def test_large_images_are_decoded_before_anybody_opens_them(clinic: Site, tmp_path: Path) -> None:
    large = stored(
        clinic, png(np.zeros((1500, 1600), np.uint8)), "image/png", tmp_path, rows=1500, columns=1600
    )
    assert pixels.large_images(str(large.series.study_id)) == [large.pk]
    assert pixels.prepare(str(large.pk))
    kinds = sorted(entry.suffix for entry in pixels.cache().folder.glob("??/*"))
    assert kinds == [".frame", ".jpeg"]


def test_small_images_and_slides_are_decoded_when_they_are_asked_for(film: Instance, slide: Instance) -> None:
    assert pixels.large_images(str(film.series.study_id)) == []
    Instance.objects.filter(pk=slide.pk).update(rows=60_000, columns=60_000)
    assert pixels.large_images(str(slide.series.study_id)) == []


def test_a_damaged_image_is_left_for_its_reader_to_hear_of(clinic: Site, tmp_path: Path) -> None:
    damaged = stored(clinic, b"\x89PNG\r\n", "image/png", tmp_path, rows=4000, columns=4000)
    assert not pixels.prepare(str(damaged.pk))


# --- who may see them ----------------------------------------------------------------------------------

FORMS = ["image-metadata", "image-pixels", "image-thumbnail", "image-rendered", "image-file"]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.RADIOLOGIST, 200),
        (Role.PATHOLOGIST, 200),
        (Role.SONOGRAPHER, 200),
        (Role.INTEGRATOR, 200),
        (Role.ADMINISTRATOR, 403),
    ],
)
def test_clinicians_see_images_and_administrators_do_not(
    clinic: Site, film: Instance, name: str, role: str, status: int
) -> None:
    assert signed_in(factories.user(role, clinic)).get(address(name, film)).status_code == status


@pytest.mark.parametrize("name", [*FORMS, "image-dzi"])
def test_another_sites_image_does_not_exist(film: Instance, slide: Instance, name: str) -> None:
    stranger = signed_in(factories.user(Role.RADIOLOGIST))
    response = stranger.get(address(name, slide if name == "image-dzi" else film))
    assert response.status_code == 404
    assert "film" not in json.dumps(response.json())


@pytest.mark.parametrize("name", FORMS)
def test_nobody_sees_an_image_without_signing_in(film: Instance, name: str) -> None:
    assert Client().get(address(name, film)).status_code == 401


def bearer(user: User, *scopes: str) -> dict[str, str]:
    _, plaintext = tokens.issue(
        Actor.system("test"), user, name="t", scopes=scopes, expires_at=timezone.now() + timedelta(days=1)
    )
    return {"Authorization": f"Bearer {plaintext}"}


def test_a_token_needs_the_scope_to_read(clinic: Site, film: Instance) -> None:
    integrator = factories.user(Role.INTEGRATOR, clinic)
    pixel_address = address("image-pixels", film)
    assert Client().get(pixel_address, headers=bearer(integrator, "studies:read")).status_code == 200
    assert Client().get(pixel_address, headers=bearer(integrator, "studies:write")).status_code == 403


def test_a_heat_map_is_as_private_as_its_image(
    browser: Client, clinic: Site, film: Instance, tmp_path: Path
) -> None:
    with transaction.atomic():
        file = storage.store_bytes(png(np.full((30, 40), 9, np.uint8)), "image/png")
    job = factories.succeeded_job(film.series.study)
    artefact = Artefact.objects.create(job=job, instance=film, kind="heatmap", file=file)
    path = reverse("artefact", args=[artefact.pk])
    response = browser.get(path)
    assert (response.status_code, response["Content-Type"]) == (200, "image/png")
    assert body(response)[:4] == b"\x89PNG"
    assert signed_in(factories.user(Role.RADIOLOGIST)).get(path).status_code == 404
    assert signed_in(factories.user(Role.ADMINISTRATOR)).get(path).status_code == 403
    assert Client().get(path).status_code == 401


# --- who is recorded -----------------------------------------------------------------------------------


def views(instance: Instance, action: str = "image.view") -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action, object_id=str(instance.pk)))


def test_looking_at_an_image_is_recorded_once_however_many_parts_are_loaded(
    browser: Client, radiologist: User, film: Instance
) -> None:
    for name in ("image-thumbnail", "image-metadata", "image-pixels", "image-pixels", "image-rendered"):
        browser.get(address(name, film))
    (event,) = views(film)
    assert event.actor == radiologist
    assert event.detail == {"study": str(film.series.study_id)}


def test_each_person_is_recorded(browser: Client, clinic: Site, film: Instance) -> None:
    browser.get(address("image-pixels", film))
    signed_in(factories.user(Role.SONOGRAPHER, clinic)).get(address("image-pixels", film))
    assert len(views(film)) == 2


def test_a_person_who_looks_again_later_is_recorded_again(
    browser: Client, film: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.get(address("image-pixels", film))
    monkeypatch.setattr(opening._recent_views, "seconds", 0.0)
    browser.get(address("image-pixels", film))
    assert len(views(film)) == 2


def test_even_an_unchanged_answer_is_a_view(browser: Client, clinic: Site, film: Instance) -> None:
    tag = browser.get(address("image-pixels", film))["ETag"]
    other = signed_in(factories.user(Role.SONOGRAPHER, clinic))
    assert other.get(address("image-pixels", film), headers={"If-None-Match": tag}).status_code == 304
    assert len(views(film)) == 2


def test_every_download_of_the_original_is_recorded(browser: Client, film: Instance) -> None:
    browser.get(address("image-file", film))
    browser.get(address("image-file", film))
    assert len(views(film, "image.download")) == 2


def test_a_refusal_shows_no_view(film: Instance) -> None:
    signed_in(factories.user(Role.RADIOLOGIST)).get(address("image-pixels", film))
    assert views(film) == []
