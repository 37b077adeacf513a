"""Key images: the right part of the right image with the mark in its place, bound by the signature."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import translation
from numpy.typing import NDArray
from PIL import Image

from cad_platform.accounts.models import Role, Site
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict
from cad_platform.reading import services as reading
from cad_platform.reporting import key_images, services, signing
from cad_platform.reporting.ai_summary import summary_of
from cad_platform.reporting.document import document_of
from cad_platform.reporting.models import Report
from cad_platform.reporting.record import hash_matches
from cad_platform.studies import storage
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.sides import Turned
from imaging.phantoms import histology, mammography
from tests import factories as make
from tests.factories import PASSWORD
from tests.posted_files import dicom
from tests.reporting.test_content import COMPLETE_SM
from tests.reporting.test_pages import signed_in
from tests.reporting.test_printed_pages import look
from tests.reporting.test_services import complete_draft, pdf_of, signed_report

pytestmark = pytest.mark.django_db(transaction=True)
#: x0, y0, x1, y1 of what is bright.
BRIGHT = (130, 40, 170, 70)


@pytest.fixture
def site() -> Site:
    return make.site()


@pytest.fixture
def reader(site: Site) -> Actor:
    return make.actor(Role.RADIOLOGIST, site)


@pytest.fixture
def study(site: Site) -> Study:
    return make.study(site)


def picture(columns: int = 240, rows: int = 320, bright: tuple[int, int, int, int] = BRIGHT) -> bytes:
    values = np.full((rows, columns), 30, np.uint8)
    values[bright[1] : bright[3], bright[0] : bright[2]] = 250
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def image_of(study: Study, data: bytes | None = None, **fields: Any) -> Instance:
    data = picture() if data is None else data
    columns, rows = Image.open(io.BytesIO(data)).size
    stored = storage.store_bytes(data, "image/png")
    return make.instance(study, **{"file": stored, "rows": rows, "columns": columns} | fields)


def grey(jpeg: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"))


def bright_part(values: NDArray[np.uint8]) -> list[float]:
    """Where it is bright, in parts of width and height."""
    ys, xs = np.nonzero(values > 140)
    rows, columns = values.shape
    return [xs.min() / columns, ys.min() / rows, (xs.max() + 1) / columns, (ys.max() + 1) / rows]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("mirror", [False, True])
def test_the_mark_lies_where_the_finding_is_however_the_image_hangs(
    turn: Any, mirror: bool, study: Study
) -> None:
    image = image_of(study)
    turned = Turned(turn, mirror)
    part = key_images._around(BRIGHT, image)
    each = key_images.Wanted("f", 3, image, image.file_id, 0, BRIGHT, part, turned, 100.0)
    drawn = key_images.drawn([each])
    (entry,) = key_images.as_particulars([each], drawn)
    cell = key_images.as_cell(entry)
    for shown, jpeg in ((cell["part"], drawn[each].part), (cell["whole"], drawn[each].whole)):
        values = grey(jpeg)
        assert shown["aspect"] == pytest.approx(values.shape[1] / values.shape[0], rel=0.02)
        assert shown["mark"] == pytest.approx(bright_part(values), abs=0.03)
        assert shown["file"] == hashlib.sha256(jpeg).hexdigest() + ".jpg"


def test_the_pdf_holds_the_pictures_whose_hashes_were_signed(study: Study, reader: Actor) -> None:
    image, job = image_of(study), make.succeeded_job(study)
    accepted, moved, rejected, undecided = (
        make.finding(image, job, box=[20, 200, 60, 250]),
        make.finding(image, job, box=[1, 1, 9, 9]),
        make.finding(image, job),
        make.finding(image, job),
    )
    own = make.finding(image, author=reader.user, box=[20, 20, 40, 40])
    make.decision(accepted, reader.user)
    make.decision(moved, reader.user, "edited", box=list(BRIGHT), reason="wrong place")
    make.decision(rejected, reader.user, "rejected", reason="skin fold")
    report = signed_report(reader, study)
    entries = report.particulars["key_images"]
    assert [entry["finding"] for entry in entries] == [str(each.pk) for each in (accepted, moved, own)]
    assert undecided.pk and hash_matches(report, report.signature)
    assert entries[1]["box"] == list(BRIGHT), "where the reader moved it"
    inside = {
        hashlib.sha256(stream._data).hexdigest(): stream._data
        for page in pdf_of(report).pages
        for stream in (form.get_object() for form in page["/Resources"].get("/XObject", {}).values())
        if stream.get("/Filter") == "/DCTDecode"
    }
    assert set(inside) == {entry[name] for entry in entries for name in ("part_sha256", "whole_sha256")}
    x0, y0, x1, y1 = key_images.as_cell(entries[1])["part"]["mark"]
    cut = grey(inside[entries[1]["part_sha256"]])
    rows, columns = cut.shape
    assert cut[round(rows * (y0 + y1) / 2), round(columns * (x0 + x1) / 2)] > 200
    assert cut[2, 2] < 60 and bright_part(cut) == pytest.approx([x0, y0, x1, y1], abs=0.03)


def test_the_scale_bar_says_a_length_where_one_scale_holds(study: Study, reader: Actor) -> None:
    image = image_of(study, pixel_spacing_um=500.0)
    make.finding(image, author=reader.user, box=list(BRIGHT))
    (each,) = key_images.wanted(summary_of(study), study)
    (entry,) = key_images.as_particulars([each], key_images.drawn([each]))
    width_mm = (each.part[2] - each.part[0]) * 0.5
    scale = key_images.as_cell(entry)["part"]["scale"]
    assert scale["words"] == "10 mm" and scale["part"] == pytest.approx(10 / width_mm)
    Instance.objects.filter(pk=image.pk).update(pixel_spacing_um=None)
    (unscaled,) = key_images.wanted(summary_of(study), study)
    (entry,) = key_images.as_particulars([unscaled], key_images.drawn([unscaled]))
    assert key_images.as_cell(entry)["part"]["scale"] is None


def test_a_file_that_cannot_be_drawn_says_so_and_fails_no_signature(study: Study, reader: Actor) -> None:
    damaged = storage.store_bytes(b"no image at all", "image/png")
    make.finding(make.instance(study, file=damaged), author=reader.user)
    make.finding(make.instance(study, number=2), author=reader.user)  # its bytes are not there
    make.finding(image_of(study, number=3), author=reader.user, box=list(BRIGHT))
    report = signed_report(reader, study)
    problems = [entry["problem"] for entry in report.particulars["key_images"]]
    assert problems[0] and problems[1] and not problems[2]
    text = "".join("".join(page.extract_text().split()) for page in pdf_of(report).pages)
    assert text.count("Theimagecouldnotbedrawnwhenthereportwassigned.") == 2


def test_a_slide_is_cut_out_too(site: Site, tmp_path: Path) -> None:
    pathologist, study = make.actor(Role.PATHOLOGIST, site), make.study(site, "SM")
    made = histology.slide(3, shape=(2048, 3072))
    histology.write_slide(made, tmp_path / "slide.tif")
    stored = storage.store_bytes((tmp_path / "slide.tif").read_bytes(), "image/tiff")
    slide = make.instance(
        study, "", "", kind=Instance.Kind.SLIDE, file=stored, rows=2048, columns=3072, pixel_spacing_um=0.5
    )
    make.finding(slide, author=pathologist.user, box=[1500, 900, 1700, 1060])
    report = signed_report(pathologist, study, COMPLETE_SM)
    look(report, "slide")
    (entry,) = report.particulars["key_images"]
    assert not entry["problem"] and key_images.as_cell(entry)["part"]["scale"]["words"] == "100 µm"


def test_of_a_clip_the_frame_of_the_finding_is_drawn(site: Site, reader: Actor, tmp_path: Path) -> None:
    study = make.study(site, "US")
    frames = np.full((3, 200, 300), 20, np.uint8)
    frames[1, 40:70, 130:170] = 250
    file = dicom(
        Modality="US",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1",
        NumberOfFrames=3,
        Rows=200,
        Columns=300,
        PixelData=frames.tobytes(),
    )
    stored = storage.store_bytes(file, "application/dicom")
    clip = make.instance(
        study, kind=Instance.Kind.DICOM, file=stored, rows=200, columns=300, frames=3, pixel_spacing_um=100.0
    )
    make.finding(clip, author=reader.user, box=list(BRIGHT), frame=1)
    (each,) = key_images.wanted(summary_of(study), study)
    drawn = key_images.drawn([each])[each]
    assert each.frame == 1 and grey(drawn.whole).max() > 200


def test_a_finding_moved_while_the_images_are_drawn_is_told(
    study: Study, reader: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = make.finding(image_of(study), make.succeeded_job(study), box=list(BRIGHT))
    make.decision(mark, reader.user)
    draft = complete_draft(reader, study)
    real = key_images.drawn

    def meanwhile(wanted: Any) -> Any:
        made = real(wanted)
        reading.decide(reader, mark, "edited", box=[10, 10, 60, 60], label="mass", reason="wrong place")
        return made

    monkeypatch.setattr(key_images, "drawn", meanwhile)
    with pytest.raises(Conflict):
        signing.sign(reader, draft.pk, password=PASSWORD, revision=draft.revision)
    assert Report.objects.get(pk=draft.pk).state == Report.State.DRAFT


def test_only_the_first_of_very_many_are_drawn(study: Study, reader: Actor) -> None:
    image = image_of(study)
    for _ in range(key_images.MOST + 5):
        make.finding(image, author=reader.user, box=list(BRIGHT))
    report = signed_report(reader, study)
    assert len(report.particulars["key_images"]) == key_images.MOST
    note = document_of(report, report.signature)["key_images"]["note"]
    assert note == "Key images of the first 24 findings; 5 more stand in the images."
    assert report.pdf is not None and report.pdf.size < 2_000_000


def test_an_addendum_repeats_no_key_images(study: Study, reader: Actor) -> None:
    make.finding(image_of(study), author=reader.user, box=list(BRIGHT))
    signed_report(reader, study)
    opened = services.open_addendum(reader, study)
    content = {"kind": "addendum", "reason": "Late priors.", "text": "Seen before."}
    saved = services.save_draft(reader, opened.pk, content, opened.revision).report
    signing.sign(reader, saved.pk, password=PASSWORD, revision=saved.revision)
    assert Report.objects.get(pk=saved.pk).particulars["key_images"] == []


@pytest.mark.long
def test_ten_findings_on_real_views_make_a_small_pdf(site: Site, reader: Actor, tmp_path: Path) -> None:
    patient = make.patient(site, name="Wang^Xiaodong=王^小东")
    for language in ("en", "zh-hans"):
        study = make.study(site, patient=patient)
        for number, (side, view) in enumerate((("R", "MLO"), ("L", "CC")), start=1):
            made = mammography.phantom(7, side, view, "malignant")  # type: ignore[arg-type]
            path = tmp_path / f"{language}-{number}.dcm"
            mammography.write_dicom(made, path, PatientID=f"P-{language}")
            stored = storage.store_bytes(path.read_bytes(), "application/dicom")
            rows, columns = made.pixels.shape
            image = make.instance(
                study, side, view, number=number, kind=Instance.Kind.DICOM, file=stored,
                rows=rows, columns=columns, pixel_spacing_um=made.um_per_px,
            )  # fmt: skip
            for offset in range(5):
                x0, y0, x1, y1 = made.boxes[0]
                box = [x0 + 40 * offset, y0 - 60 * offset, x1 + 40 * offset, y1 - 60 * offset]
                make.finding(image, author=reader.user, box=box)
        with translation.override(language):
            report = signed_report(reader, study)
            look(report, f"key-{language}")
        assert not [entry["problem"] for entry in report.particulars["key_images"] if entry["problem"]]
        assert report.pdf is not None and report.pdf.size < 2_000_000
        metadata = pdf_of(report).xmp_metadata
        assert metadata is not None and metadata.pdfaid_part == "3"


class TestOnScreen:
    """What the PDF prints stands in the report on screen: the same bytes, seen by the same people."""

    @pytest.fixture
    def report(self, study: Study, reader: Actor) -> Report:
        make.finding(
            image_of(study, pixel_spacing_um=500.0), author=reader.user, box=list(BRIGHT), label="mass"
        )
        return signed_report(reader, study)

    def shown(self, report: Report, reader: Actor, language: str = "en") -> str:
        browser = signed_in(reader.user)
        browser.cookies[settings.LANGUAGE_COOKIE_NAME] = language
        address = reverse("report-editor", args=[report.study.study_instance_uid])
        return browser.get(address, headers={"HX-Request": "true"}).content.decode()

    def test_each_picture_is_the_one_that_was_signed(self, report: Report, reader: Actor) -> None:
        page, (entry,) = self.shown(report, reader), report.particulars["key_images"]
        addresses = re.findall(r'<img src="(/reports/[^"]+)"', page)
        assert len(addresses) == 2
        browser = signed_in(reader.user)
        for address, name in zip(addresses, ("part_sha256", "whole_sha256"), strict=True):
            answer = browser.get(address)
            assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg")
            assert hashlib.sha256(answer.content).hexdigest() == entry[name]
            assert (
                answer["Cache-Control"] == "private, max-age=3600, immutable" and "Cookie" in answer["Vary"]
            )
        assert AuditEvent.objects.filter(action="image.view", object_id=str(self.image(report).pk)).exists()

    def image(self, report: Report) -> Instance:
        return Instance.objects.get(series__study=report.study)

    @pytest.mark.parametrize(("language", "title"), [("en", "Key images"), ("zh-hans", "关键图像")])
    def test_mark_scale_and_caption_stand_over_it(
        self, report: Report, reader: Actor, language: str, title: str
    ) -> None:
        page = self.shown(report, reader, language)
        assert title in page and "10 mm" in page
        with translation.override(language):
            cell = document_of(report, report.signature)["key_images"]["cells"][0]
        assert f"<figcaption>{cell['caption']}</figcaption>" in page
        x0, y0, x1, y1 = cell["whole"]["mark"]
        whole = (round(750 * x0), round(1000 * y0), round(750 * (x1 - x0)), round(1000 * (y1 - y0)))
        assert 'x="{}" y="{}" width="{}" height="{}"'.format(*whole) in page

    def test_nobody_else_sees_it_and_it_shows_nothing_else(
        self, report: Report, reader: Actor, site: Site
    ) -> None:
        (entry,) = report.particulars["key_images"]
        address = reverse("report-key-image", args=[report.pk, entry["part_sha256"]])
        stranger, administrator = make.user(Role.RADIOLOGIST), make.user(Role.ADMINISTRATOR)
        assert signed_in(stranger).get(address).status_code == 404
        assert signed_in(administrator).get(address).status_code == 403
        assert Client().get(address)["Location"].startswith("/accounts/login/")
        browser = signed_in(reader.user)
        assert report.pdf is not None
        draft = services.open_draft(reader, make.study(site))
        for of, name in (
            *((report, name) for name in ("0" * 64, "part", report.pdf.sha256)),
            (draft, entry["part_sha256"]),
        ):
            assert browser.get(reverse("report-key-image", args=[of.pk, name])).status_code == 404

    def test_rejected_and_undecided_marks_have_none(self, study: Study, reader: Actor) -> None:
        image, job = image_of(study), make.succeeded_job(study)
        make.decision(make.finding(image, job), reader.user, "rejected", reason="skin fold")
        make.finding(image, job)
        page = self.shown(signed_report(reader, study), reader)
        assert "Key images" not in page and "<img" not in page

    def test_one_that_could_not_be_drawn_says_so(self, study: Study, reader: Actor) -> None:
        image = image_of(study)
        make.finding(image, author=reader.user, box=list(BRIGHT))
        Instance.objects.filter(pk=image.pk).update(file=storage.store_bytes(b"no picture", "image/png"))
        page = self.shown(signed_report(reader, study), reader)
        assert "The image could not be drawn when the report was signed." in page and "<img" not in page
