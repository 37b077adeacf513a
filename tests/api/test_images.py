"""Images over HTTP: the right pixels, in every form that a viewer asks for."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from django.test import Client
from PIL import Image

from cad_platform.accounts.models import Site
from cad_platform.studies import pixels, storage
from cad_platform.studies.models import Instance
from tests.api.stored_images import GRADIENT, address, body, dicom_clip, png, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("private_cache")]


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
