"""The watching pages in Chromium, by keyboard, in both languages, narrow and wide, through axe; and the navigation of
whoever has most pages, which must show all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from cad_platform.accounts.models import Role
from cad_platform.quality import watching
from cad_platform.quality.measures import Measured
from cad_platform.quality.models import Alert, AlertRule
from tests import factories
from tests.e2e.pictures import picture
from tests.e2e.reading_room import sign_in
from tests.e2e.test_fleet_page import press_until
from tests.e2e.test_reading_by_keyboard import violations
from tests.quality.test_pages import work
from tests.web_server import web_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.long]


@pytest.fixture
def administrator(transactional_db: None, chromium: Browser, tmp_path: Path) -> Iterator[Page]:
    """At a platform whose ultrasound model has worked for some hours, and drifts."""
    site, version = factories.site(), factories.model_version()
    work(site, version)
    found = Measured(0.4, True, {"ks": 0.31, "p": 1e-9, "cases": 200, "reference": 300})
    watching.settle(AlertRule.objects.get(measure="drift"), site.pk, version.pk, found, timezone.now())
    user = factories.user(Role.ADMINISTRATOR)
    with web_server(tmp_path) as server:
        context = chromium.new_context(base_url=server.url, viewport={"width": 1360, "height": 900})
        context.set_default_timeout(60_000)
        page = context.new_page()
        sign_in(page, user.username, factories.PASSWORD)
        yield page
        context.close()


def addresses() -> dict[str, str]:
    return {
        "figures": reverse("quality") + "?days=1",
        "alerts": reverse("alerts"),
        "alert": reverse("alert", args=[Alert.objects.get().pk]),
        "rules": reverse("alert-rules"),
        "rule": reverse("alert-rule", args=["drift"]),
    }


def speak(page: Page, language: str) -> None:
    with page.expect_navigation():
        page.locator(f'.shell-language button[value="{language}"]').click()
    expect(page.locator("html")).to_have_attribute("lang", language)


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_what_a_model_does_is_seen_and_answered(administrator: Page, axe_source: str) -> None:
    page = administrator
    for language in ("en", "zh-hans"):
        speak(page, language)
        for width in (1360, 320):
            page.set_viewport_size({"width": width, "height": 900})
            for name, address in addresses().items():
                page.goto(address)
                assert violations(page, axe_source) == "", (name, language, width)
                assert sideways(page) <= 0, (name, language, width)
                if width == 1360:
                    picture(page, f"watching-{name}-{language[:2]}")
    page.set_viewport_size({"width": 1360, "height": 900})
    speak(page, "en")
    page.goto(addresses()["alert"])
    page.get_by_label("Note").focus()
    page.keyboard.type("A new detector since Monday.")
    press_until(page, "Acknowledge")
    expect(page.get_by_text("The alert is acknowledged.")).to_be_visible()
    expect(page.locator("main")).to_contain_text("A new detector since Monday.")


def test_every_page_of_the_navigation_is_in_sight(administrator: Page) -> None:
    """Ten names side by side did not fit: the last was out of sight at 1,360 pixels."""
    page = administrator
    for language in ("en", "zh-hans"):
        speak(page, language)
        for width in (1360, 1024, 320):
            page.set_viewport_size({"width": width, "height": 900})
            for name in ("jobs", "models", "users", "audit"):
                page.goto(reverse(name))
                for link in page.locator(".shell-nav a").all():
                    box = link.bounding_box()
                    assert box is not None
                    assert box["x"] >= 0 and box["x"] + box["width"] <= width, (name, language, width)
                    row = link.evaluate(
                        "each => [each.offsetLeft + each.offsetWidth, each.parentElement.clientWidth]"
                    )
                    assert row[0] - link.evaluate("each => each.parentElement.offsetLeft") <= row[1] + 1
