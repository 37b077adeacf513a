"""What the documents show of reading, kept work, the session, the lock, measurements, a report and its addendum, in
both languages: each of these pages passes axe, and with SAFE_PICTURES=docs/images/safe the pictures are taken anew."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cad_platform.accounts.models import Site, User
from cad_platform.analysis.models import AnalysisJob
from cad_platform.patients.models import Patient
from cad_platform.registry.models import ModelVersion
from cad_platform.studies import storage
from cad_platform.studies.models import Instance
from embedded.state import REPOSITORY
from imaging.phantoms import mammography
from tests import factories
from tests.e2e.lost_and_found import Reader, Reading, end_session
from tests.e2e.pictures import picture
from tests.e2e.reading_room import begin_report
from tests.e2e.test_reading_by_keyboard import violations
from tests.e2e.test_views_and_measurements import drag

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900), pytest.mark.long]

DESKTOP, TALL, NARROW = (1280, 800), (1100, 1300), (320, 720)
CODES = {"right": "1", "left": "4C", "assessment": "4C", "recommendation": "tissue_diagnosis", "density": "b"}


@dataclass(frozen=True)
class Words:
    """What a reader types, and who they are."""

    code: str
    first: str
    last: str
    patient: str
    hospital: str
    note: str
    rejected: str
    lock: str
    indication: str
    impression: str
    reason: str
    addendum: str
    now: str


WORDS = {
    "en": Words(
        code="en",
        first="Anna",
        last="Berg",
        patient="Okafor^Amara",
        hospital="Riverside Hospital",
        note="posterior shadow",
        rejected="Skin fold",
        lock="Lock this workplace",
        indication="Palpable lump of the left breast.",
        impression="Spiculated mass of the left breast. Biopsy is advised.",
        reason="The biopsy was benign.",
        addendum="Core biopsy: fibroadenoma, concordant with the images.",
        now="Fibroadenoma of the left breast.",
    ),
    "zh": Words(
        code="zh-hans",
        first="敏",
        last="王",
        patient="欧阳^晓梅",
        hospital="示范医院",
        note="后方声影",
        rejected="皮肤皱褶",
        lock="锁定此工作站",
        indication="左乳可触及肿块。",
        impression="左乳毛刺状肿块，建议活检。",
        reason="活检结果为良性。",
        addendum="穿刺活检：纤维腺瘤，与影像相符。",
        now="左乳纤维腺瘤。",
    ),
}


def in_words(reading: Reading, words: Words) -> None:
    """People and places of the language."""
    User.objects.filter(pk=reading.reader.pk).update(first_name=words.first, last_name=words.last)
    Patient.objects.update(name=words.patient)
    Site.objects.update(name=words.hospital)
    reading.reader.refresh_from_db()


def with_images(reading: Reading) -> None:
    """The four views of a phantom in the storage, marks on its lesion and beside it, and the model's own manifest."""
    image, job = Instance.objects.get(), AnalysisJob.objects.get()
    for view in mammography.exam(911, left="malignant", rows=1000):
        png = io.BytesIO()
        Image.fromarray(view.pixels).save(png, "PNG")
        fields = {
            "file": storage.store_bytes(png.getvalue(), "image/png"),
            "rows": view.pixels.shape[0],
            "columns": view.pixels.shape[1],
            "pixel_spacing_um": view.um_per_px,
        }
        hung = image
        if (view.laterality, view.view) == ("L", "CC"):
            Instance.objects.filter(pk=image.pk).update(**fields)
        else:
            hung = factories.instance(reading.study, str(view.laterality), str(view.view), **fields)
        if view.boxes:
            reading.marks.append(factories.finding(hung, job, box=list(view.boxes[0])))
    beside = {"box": [60, 700, 140, 780], "label": "calcifications", "score": 0.4}
    reading.marks.append(factories.finding(image, job, **beside))
    manifest = json.loads(
        Path(REPOSITORY, "model_store", "mammography", "2.2.0", "manifest.json").read_text()
    )
    ModelVersion.objects.update(manifest=manifest)
    said = {"probabilities": {"abnormal": 0.87, "normal": 0.13}, "thresholds": manifest["thresholds"]}
    AnalysisJob.objects.update(result=job.result | said | {"flags": []})


@pytest.fixture
def reading(transactional_db: None, tmp_path: Path) -> Iterator[Reading]:
    made = Reading(tmp_path, marks=0)
    with_images(made)
    yield made
    made.close()


@pytest.fixture(params=WORDS)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reader(chromium: Browser, reading: Reading, language: str) -> Iterator[Reader]:
    in_words(reading, WORDS[language])
    made = Reader(chromium, reading, reading.reader)
    code = WORDS[language].code
    made.context.add_cookies([{"name": "django_language", "value": code, "url": reading.server.url}])
    made.sign_in()
    resized(made.page, DESKTOP)
    yield made
    made.close()


def resized(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})


def look(page: Page, name: str, axe_source: str) -> None:
    assert violations(page, axe_source) == "", name
    picture(page, name)


def drawn(page: Page) -> None:
    expect(page.locator('.pane[data-ready="true"]')).to_have_count(4, timeout=90_000)


def test_reading_kept_work_session_and_lock(reader: Reader, axe_source: str, language: str) -> None:
    page, words, reading = reader.page, WORDS[language], reader.reading
    expect(page.get_by_role("row")).not_to_have_count(0)
    look(page, f"worklist-{language}", axe_source)
    resized(page, NARROW)
    look(page, f"worklist-320-{language}", axe_source)
    resized(page, DESKTOP)
    reader.open_case()
    drawn(page)
    expect(page.locator(".shell-person")).to_contain_text(reading.reader.printed_name)
    look(page, f"case-{language}", axe_source)

    pane = page.locator(".pane").nth(1)
    pane.click(position={"x": 20, "y": 60})
    page.keyboard.press("m")
    drag(page, pane, (0.03, 0.32), (0.13, 0.32))
    expect(page.locator(".length__text")).to_have_count(1)
    page.keyboard.press("q")
    drag(page, pane, (0.3, 0.25), (0.19, 0.42))
    page.keyboard.type(words.note)
    page.keyboard.press("Enter")
    expect(page.locator(".measurement")).to_have_count(2)
    expect(page.locator(".measurement").last).to_contain_text(words.note)
    page.locator(".measurement").last.scroll_into_view_if_needed()
    look(page, f"measurements-{language}", axe_source)

    with reader.offline():
        reader.finding(0).locator("[data-action=accept]").click()
        expect(reader.banner).to_be_visible(timeout=3000)
        expect(reader.finding(0).locator(".pending")).to_be_visible()
        reader.finding(0).scroll_into_view_if_needed()
        # It appears a moment later, so that what is answered at once does not flicker.
        expect(reader.finding(0).locator(".pending")).to_have_css("opacity", "1")
        page.wait_for_timeout(500)
        look(page, f"kept-here-{language}", axe_source)
    expect(reader.banner).to_be_hidden(timeout=60_000)

    end_session(reading.reader)
    reader.finding(1).locator("[data-action=accept]").evaluate("button => button.click()")
    expect(reader.cover.locator("input[name=password]")).to_be_focused()
    look(page, f"session-{language}", axe_source)
    reader.give_password()

    page.get_by_role("button", name=words.lock).click()
    expect(reader.cover.locator("input[name=password]")).to_be_visible()
    look(page, f"locked-{language}", axe_source)


def test_a_report_its_key_images_and_its_addendum(reader: Reader, axe_source: str, language: str) -> None:
    page, words, reading = reader.page, WORDS[language], reader.reading
    for mark in reading.marks[:2]:
        factories.decision(mark, reading.reader)
    factories.decision(reading.marks[2], reading.reader, "rejected", reason=words.rejected)
    reader.open_case()
    drawn(page)
    against_itself = {**CODES, "right": "4C", "left": "1", "impression": words.impression}
    begin_report(page, {"indication": words.indication, **against_itself})
    stop = page.locator("[data-contradiction-list] .contradiction--stop").last
    expect(stop).to_be_visible()
    # Below what sticks to the panel's head.
    page.locator("[data-field=impression]").evaluate(
        "field => { field.scrollIntoView({block: 'start'}); field.closest('.panel__body').scrollBy(0, -80); }"
    )
    look(page, f"contradictions-{language}", axe_source)
    page.locator("#report-right").select_option("1")
    page.locator("#report-left").select_option("4C")
    expect(page.locator("[data-contradiction-list] .contradiction--stop")).to_have_count(0)
    page.goto(f"/reports/study/{reading.study.study_instance_uid}/editor")
    resized(page, TALL)
    look(page, f"report-{language}", axe_source)
    sign(page)
    expect(page.locator(".key-images img")).to_have_count(4)
    for image in page.locator(".key-images img").all():
        image.scroll_into_view_if_needed()
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 100
    page.evaluate("scrollTo(0, 0)")
    look(page, f"signed-{language}", axe_source)

    page.locator("form[action$=addendum] button").click()
    page.locator("#report-text").fill(words.addendum)
    page.locator("#report-reason").fill(words.reason)
    for name, code in {"left": "2", "assessment": "2", "recommendation": "routine"}.items():
        page.locator(f"#report-{name}").select_option(code)
    page.locator("#report-impression").fill(words.now)
    sign(page)
    expect(page.locator("article.signed")).to_have_count(2)
    expect(page.locator("article.signed").first.locator("del")).not_to_have_count(0)
    expect(page.locator(".signed__amended")).to_contain_text("4C → 2")
    page.evaluate("scrollTo(0, 0)")
    look(page, f"amended-{language}", axe_source)


def sign(page: Page) -> None:
    """With a reason for each that is told, where marks speak against the new category."""
    before = page.locator("article.signed").count()
    page.locator("[data-action=sign]").click()
    dialog = page.locator("dialog[data-dialog=sign][open]")
    expect(dialog).to_be_visible()
    for area in dialog.locator("[data-overridden] textarea").all():
        area.fill("Concordant. 影像与病理相符。")
    dialog.locator("#sign-password").fill(factories.PASSWORD)
    dialog.locator("button[type=submit]").click()
    expect(page.locator("article.signed")).to_have_count(before + 1, timeout=90_000)
