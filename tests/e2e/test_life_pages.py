"""A version's life at the browser, by keyboard alone: uploaded over a way that breaks off, examined, approved by two
people, begun beside the default, looked at beside it, made the default, rolled back, retired; by axe, at 320 px, in
Chinese. The web server and PostgreSQL are the real ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from cad_platform.accounts.models import Role
from cad_platform.analysis import comparing
from cad_platform.analysis.models import KnownTruth, ShadowResult
from cad_platform.core.actor import Actor
from cad_platform.registry import services, switching, verification
from cad_platform.registry.models import ModelVersion, Verification
from imaging.phantoms import ultrasound
from tests import factories
from tests.e2e.pictures import picture
from tests.e2e.reading_room import sign_in
from tests.e2e.test_reading_by_keyboard import violations
from tests.registry.conftest import Store, store  # noqa: F401  (a fixture)
from tests.registry.test_importing import packed
from tests.web_server import WebServer, web_server

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]
SYSTEM = Actor.system("test")
NEW = "99.0.0"


@pytest.fixture
def server(transactional_db: None, store: Store, tmp_path: Path, settings: Any) -> Iterator[WebServer]:  # noqa: F811
    # Outside the store, whose folder this is.
    state = tmp_path.parent / f"{tmp_path.name}-state"
    with web_server(state, CAD_STORAGE_URL=settings.STORAGE_URL, CAD_MODEL_STORE=str(store.path)) as running:
        yield running


def at(server: WebServer, chromium: Browser, user: Any, **context: Any) -> Page:
    made = chromium.new_context(
        base_url=server.url, **{"viewport": {"width": 1360, "height": 900}, **context}
    )
    made.set_default_timeout(60_000)
    page = made.new_page()
    sign_in(page, user.username, factories.PASSWORD)
    return page


def walk_to(page: Page, place: Locator) -> None:
    """By the tabulator key, as whoever has no mouse; from where the focus is, once around the page at most."""
    for _ in range(250):
        if place.evaluate("here => here === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the tabulator key does not lead to {place}")


def walk_and(page: Page, place: Locator, keys: str) -> None:
    """Walk to a field and type, or to a button or link and press Enter (empty `keys`)."""
    walk_to(page, place)
    if keys:
        page.keyboard.type(keys)
    else:
        # Right behind characters a line end is dictated text, which presses nothing (`QUIET_MS` of keyboard.ts).
        page.wait_for_timeout(400)
        page.keyboard.press("Enter")


def is_wider_than_its_window(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def both_have_looked(site: Any, old: ModelVersion, new: ModelVersion) -> None:
    """At studies of the site, of which it is known what is true."""
    from django.db import transaction

    from cad_platform.studies import storage

    for number in range(24):
        study = factories.study(site, "US")
        if number < 4:
            content = ultrasound.phantom(number, "malignant").pixels
            from io import BytesIO

            from PIL import Image

            png = BytesIO()
            Image.fromarray(content).save(png, "PNG")
            with transaction.atomic():
                file = storage.store_bytes(png.getvalue(), "image/png")
            rows, columns = content.shape[:2]
            size = {"rows": rows, "columns": columns, "pixel_spacing_um": 80.0}
            factories.instance(study, view="", kind="image", file=file, **size)
        score = 0.3 + number / 40
        factories.succeeded_job(study, score, by=old)
        shadow = score - 0.2 + number / 100 if number < 4 else score
        ShadowResult.objects.create(
            study=study, content_hash=study.content_hash, model_version=new, state="succeeded", result={},
            score=shadow,
        )  # fmt: skip
        KnownTruth.objects.create(study=study, positive=number % 2 == 1, source="table")


def test_from_the_upload_to_the_comparison(
    server: WebServer,
    store: Store,  # noqa: F811
    chromium: Browser,
    axe_source: str,
    tmp_path: Path,
) -> None:
    (old,) = services.register_from_store(SYSTEM).versions
    switching.make_default(SYSTEM, old)
    site = factories.site()
    administrator, lead = factories.user(Role.ADMINISTRATOR), factories.user(Role.CLINICAL_LEAD, site)
    archive = tmp_path.parent / f"{tmp_path.name}.zip"
    archive.write_bytes(packed(store, NEW))

    # Uploaded, over a way that breaks off once.
    page = at(server, chromium, administrator)
    page.goto("/models/")
    walk_and(page, page.get_by_role("link", name="Upload a version"), "")
    expect(page.get_by_label("File", exact=True)).to_be_visible()
    assert violations(page, axe_source) == ""
    broken: list[str] = []

    def break_off(route: Route) -> None:
        broken.append(route.request.url)
        if len(broken) == 2:
            route.abort()
        else:
            route.continue_()

    page.route("**/piece", break_off)
    walk_to(page, page.get_by_label("File", exact=True))
    # The dialog that the key opens is the machine's own.
    page.get_by_label("File", exact=True).set_input_files(archive)
    walk_and(page, page.get_by_role("button", name="Upload", exact=True), "")
    expect(page.locator("#upload-said")).to_contain_text("it goes on by itself")
    assert violations(page, axe_source) == ""
    picture(page, "model-upload-en")
    expect(page.get_by_text(f"ultrasound {NEW} is uploaded")).to_be_visible(timeout=120_000)
    new = ModelVersion.objects.get(version=NEW)

    # Examined: the worker's part is done here.
    walk_and(page, page.get_by_role("button", name="Examine it"), "")
    expect(page.get_by_text("is being examined")).to_be_visible()
    assert verification.run(Verification.objects.get().pk) == Verification.State.PASSED
    page.reload()
    assert violations(page, axe_source) == ""

    # Approved by two people.
    kind = page.get_by_label("Kind of change")
    walk_to(page, kind)
    retrained = kind.evaluate("field => [...field.options].findIndex((each) => each.value === 'retrained')")
    for _ in range(retrained - kind.evaluate("field => field.selectedIndex")):
        page.keyboard.press("ArrowDown")
    expect(kind).to_have_value("retrained")
    walk_and(page, page.get_by_label("What was changed"), "300 more cases of two hospitals")
    walk_and(
        page, page.get_by_label("How it was verified and validated"), "AUC on the reference set, limit -0.01"
    )
    walk_and(page, page.get_by_label("Benefits and risks"), "fewer false marks; none is expected")
    walk_and(page, page.locator("#approve-reason"), "better on dense breasts")
    walk_and(page, page.get_by_role("button", name="Approve this version"), "")
    expect(page.get_by_text("Another person has to as well").first).to_be_visible()
    second = at(server, chromium, lead)
    second.goto(f"/models/{new.pk}/")
    assert violations(second, axe_source) == ""
    walk_and(second, second.locator("#approve-reason"), "agreed")
    walk_and(second, second.get_by_role("button", name="Approve this version"), "")
    expect(second.get_by_text("It analyses nothing yet")).to_be_visible()

    # Beside the default: a canary of a tenth of the patients.
    page.reload()
    form = page.locator("form[action$='/routes']")
    walk_and(page, form.get_by_label("Kind"), "Canary")
    expect(form.get_by_label("Kind")).to_have_value("canary")
    walk_to(page, form.get_by_label("Percent of the patients"))
    page.keyboard.press("Control+A")
    page.keyboard.type("10")
    walk_and(page, form.get_by_role("button", name="Begin"), "")
    expect(page.get_by_role("row").filter(has_text="10 %")).to_be_visible()
    assert violations(page, axe_source) == ""
    picture(page.locator("section[aria-labelledby=life]"), "model-life-en")

    # Looked at beside it; pictures for who may see them.
    both_have_looked(site, old, new)
    page.get_by_role("link", name="How far it agrees").click()
    expect(page.get_by_role("heading", name="Agreement")).to_be_visible()
    assert page.locator(".gallery").count() == 0
    assert violations(page, axe_source) == ""
    agreement = page.url.removeprefix(server.url)
    second.goto(agreement)
    expect(second.locator(".gallery__item")).to_have_count(12)
    second.locator(".gallery__image").first.scroll_into_view_if_needed()
    shown = (
        "[...document.querySelectorAll('.gallery__image')].slice(0, 4).every((one) => one.naturalWidth > 0)"
    )
    deadline = time.monotonic() + 300
    while not second.evaluate(shown):
        assert time.monotonic() < deadline, "the pictures are not shown"
        time.sleep(0.5)
    assert violations(second, axe_source) == ""
    picture(second, "model-agreement-en")

    # The default, back again, and retired. The worker's part of the comparison is done here.
    assert comparing.compare(new.pk, old.pk) == 1
    own = f"/models/{new.pk}/"
    page.goto(own)
    walk_and(page, page.locator("#reason"), "no worse at the site")
    walk_and(page, page.get_by_role("button", name="Make it the default"), "")
    back = page.get_by_role("button", name=f"Roll back to {old.version}")
    expect(back).to_be_visible()
    assert ModelVersion.objects.get(is_default=True) == new
    assert violations(page, axe_source) == ""
    walk_and(page, back, "")
    expect(back).to_have_count(0)
    assert ModelVersion.objects.get(is_default=True) == old
    page.goto(own)
    ends = page.get_by_role("button", name="End it")
    while ends.count():
        left = ends.count() - 1
        walk_and(page, ends.first, "")
        expect(ends).to_have_count(left)
    page.goto(own)  # whatever was on its way is over: what is typed into a page that goes is lost
    walk_and(page, page.locator("#retire-reason"), "a drill")
    expect(page.locator("#retire-reason")).to_have_value("a drill")
    walk_and(page, page.get_by_role("button", name="Retire it for good"), "")
    expect(page.get_by_text(f"ultrasound {NEW} is retired")).to_be_visible()
    assert ModelVersion.objects.get(pk=new.pk).state == ModelVersion.State.RETIRED
    assert violations(page, axe_source) == ""

    # Narrow, and in Chinese.
    narrow = at(server, chromium, administrator, viewport={"width": 320, "height": 800}, locale="zh-CN")
    for address in (f"/models/{new.pk}/", "/models/upload", agreement):
        narrow.goto(address)
        assert not is_wider_than_its_window(narrow), address
        assert violations(narrow, axe_source) == "", address
    narrow.goto(f"/models/{new.pk}/")
    expect(narrow.locator("#life")).to_contain_text("生命周期")
    picture(narrow.locator("section[aria-labelledby=life]"), "model-life-320-zh")
