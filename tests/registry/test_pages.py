"""The models as administrators see them."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.core import proofs
from cad_platform.core.actor import Actor
from cad_platform.core.models import ComponentProbe
from cad_platform.registry.cards import card_html
from cad_platform.registry.health import component_of
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import routed_versions
from cad_platform.registry.services import register_from_store
from cad_platform.registry.switching import make_default
from cad_platform.registry.views import flat_metrics
from tests import factories
from tests.registry.conftest import Store

pytestmark = pytest.mark.django_db(transaction=True)
SYSTEM = Actor.system("test")
SWITCH = "Make it the default"


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(factories.user(Role.ADMINISTRATOR))
    return client


@pytest.fixture
def known(store: Store) -> dict[str, ModelVersion]:
    """The default version and one that stands by, by version number."""
    store.add("99.0.0")
    versions = {version.version: version for version in register_from_store(SYSTEM).versions}
    make_default(SYSTEM, versions[store.version])
    return versions


def page_of(browser: Client, version: ModelVersion | None = None) -> str:
    url = reverse("models") if version is None else reverse("model", args=[version.pk])
    return unescape(re.sub(r"\s+", " ", browser.get(url).content.decode()))


def test_a_models_page_says_what_it_is_and_whether_it_answers(browser: Client, store: Store) -> None:
    (version,) = register_from_store(SYSTEM).versions
    assert "Not tried yet" in page_of(browser, version)
    proofs.succeeded(component_of(version), 42)
    page = page_of(browser, version)
    assert "Answers" in page and "42 ms" in page and version.weights_sha256 in page
    ComponentProbe.objects.update(succeeded_at=timezone.now() - timedelta(minutes=4))
    page = page_of(browser, version)
    assert "Does not answer" in page and "240 s old" in page
    proofs.failed(component_of(version), "not served here: no model server has it", "not_served")
    assert "Not served here" in page_of(browser, version)


def test_the_list_has_each_model_with_its_versions_newest_first(
    browser: Client, known: dict[str, ModelVersion], store: Store
) -> None:
    factories.model_version("ultrasound", "US", "9.10.0", is_default=False)
    factories.model_version("ultrasound", "US", "9.9.0", is_default=False)
    factories.model_version("mammography")
    proofs.failed(component_of(known["99.0.0"]), "not served here: no model server has it", "not_served")
    page = page_of(browser)
    assert page.index("mammography 1.0.0") < page.index("ultrasound 99.0.0")
    assert re.findall(r">ultrasound ([\d.]+)<", page) == ["99.0.0", "9.10.0", "9.9.0", store.version]
    rows = dict(re.findall(r'href="[^"]+">ultrasound ([\d.]+)</a>(.*?)</tr>', page))
    default, other, gone = rows[store.version], rows["99.0.0"], rows["9.9.0"]
    assert "Default" in default and "Answers" in default and "In the store" in default
    assert "Stands by" in other and "Not served here" in other and "In the store" in other
    assert "Not tried yet" in gone and "Not in the store" in gone


def test_without_models_the_list_says_what_to_do(browser: Client) -> None:
    page = page_of(browser)
    assert "No model is registered." in page and "Read the model store" in page


def test_a_model_without_a_default_and_one_whose_default_nobody_has_are_warned_of(
    browser: Client, store: Store
) -> None:
    (version,) = register_from_store(SYSTEM).versions
    assert "No version of this model is the default" in page_of(browser)
    make_default(SYSTEM, version)
    assert "notice--danger" not in page_of(browser) + page_of(browser, version)
    proofs.failed(component_of(version), "not served here: no model server has it", "not_served")
    warning = f"Studies should be analysed with {version.version}, and no model server has it."
    assert warning in page_of(browser) and warning in page_of(browser, version)


def test_only_a_version_that_answers_can_be_made_the_default(
    browser: Client, known: dict[str, ModelVersion], store: Store
) -> None:
    other = known["99.0.0"]
    page = page_of(browser, other)
    assert SWITCH in page and "is asked for a real prediction before anything changes" in page
    proofs.failed(component_of(other), "the model server does not answer: ConnectError", "away")
    page = page_of(browser, other)
    assert SWITCH not in page and "once a model server answers for it." in page and "ConnectError" in page
    proofs.failed(component_of(other), "not served here: no model server has it", "not_served")
    page = page_of(browser, other)
    assert SWITCH not in page and "load it there first" in page
    proofs.succeeded(component_of(other), 42)
    assert SWITCH in page_of(browser, other)
    assert SWITCH not in page_of(browser, known[store.version])


def test_the_store_is_read_from_the_page(browser: Client, store: Store) -> None:
    answer = browser.post(reverse("models-register"), follow=True).content.decode()
    assert f"Known now, and standing by: ultrasound {store.version}." in answer
    broken = store.add("1.2.3")
    (broken / "model.onnx").write_bytes(b"half a file")
    answer = browser.post(reverse("models-register"), follow=True).content.decode()
    assert "The model store holds no version that was not known." in answer
    assert "ultrasound 1.2.3" in answer, "what was refused is named"
    clinician = Client()
    clinician.force_login(factories.user(Role.RADIOLOGIST))
    assert clinician.post(reverse("models-register")).status_code == 403


def test_a_switch_says_what_happens_to_the_analyses_that_wait(
    browser: Client, known: dict[str, ModelVersion], store: Store
) -> None:
    url = reverse("model-make-default", args=[known["99.0.0"].pk])
    answer = browser.post(url, {"reason": "fewer false positives"})
    assert answer.status_code == 302
    assert [str(version) for version in routed_versions()] == ["ultrasound 99.0.0"]
    (said,) = [str(message) for message in get_messages(answer.wsgi_request)]
    assert said == (
        "New studies are analysed with ultrasound 99.0.0. "
        f"Analyses that were waiting for {store.version} go on with 99.0.0."
    )


def test_a_page_that_is_out_of_date_switches_to_nothing_that_nobody_serves(
    browser: Client, known: dict[str, ModelVersion], store: Store
) -> None:
    store.remove("99.0.0")
    answer = browser.post(reverse("model-make-default", args=[known["99.0.0"].pk]))
    assert answer.status_code == 409
    assert "Load it on a model server, then try again." in unescape(answer.content.decode())
    assert [str(version) for version in routed_versions()] == [f"ultrasound {store.version}"]


def test_a_clinician_sees_no_models_and_switches_none(known: dict[str, ModelVersion]) -> None:
    clinician = Client()
    clinician.force_login(factories.user(Role.RADIOLOGIST))
    other = known["99.0.0"]
    assert clinician.get(reverse("models")).status_code == 403
    assert clinician.get(reverse("model", args=[other.pk])).status_code == 403
    assert clinician.post(reverse("model-make-default", args=[other.pk])).status_code == 403
    assert other not in routed_versions()


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](http://elsewhere/x.png)",
        '<img src=x onerror="alert(1)">',
        "<details open ontoggle=alert(1)>",
    ],
)
def test_a_card_cannot_act(hostile: str) -> None:
    html = str(card_html(f"# Card\n\n{hostile}\n\n| a | b |\n|---|---|\n| {hostile} | 2 |"))
    assert "<h3>Card</h3>" in html and "<table>" in html
    for forbidden in ("<script", 'href="javascript', 'href="data', "<img", "<details"):
        assert forbidden not in html


def test_a_cards_tables_scroll_in_frames_of_their_own() -> None:
    html = str(card_html("# Card\n\n## Figures & more\n\n| a | b |\n|---|---|\n| 1 | 2 |"))
    assert (
        '<div class="table-scroll" tabindex="0" role="region" aria-label="Figures &amp; more"><table>' in html
    )
    assert html.count("<div") == html.count("</div>") == 1
    twice = str(card_html("## Same\n\n| a |\n|---|\n| 1 |\n\nmore\n\n| a |\n|---|\n| 2 |"))
    assert 'aria-label="Same"' in twice and 'aria-label="Same 2"' in twice


def test_a_cards_plots_are_shown_while_the_store_holds_the_version(browser: Client) -> None:
    version = register_from_store(SYSTEM).versions[0]
    page = browser.get(reverse("model", args=[version.pk])).content.decode()
    addresses = re.findall(r'<img src="([^"]+)"', page)
    assert addresses and "plots/" not in re.findall(r'href="(plots/[^"]*)"', page)
    for address in addresses:
        plot = browser.get(address)
        assert plot["Content-Type"] == "image/svg+xml" and plot.content.startswith(b"<svg")
    assert browser.get(reverse("model-plot", args=[version.pk, "none-such"])).status_code == 404
    clinician = Client()
    clinician.force_login(factories.user(Role.RADIOLOGIST))
    assert clinician.get(addresses[0]).status_code == 403
    version.weights_sha256 = "0" * 64
    version.save()
    page = browser.get(reverse("model", args=[version.pk])).content.decode()
    assert "<img" not in page and "ROC" in page
    assert browser.get(addresses[0]).status_code == 404


def test_figures_of_any_depth_are_listed() -> None:
    figures = {"auc": {"value": 0.91234, "ci": [0.9, 0.95]}, "note": "held out", "curve": [0.1] * 50}
    assert flat_metrics(figures) == [
        ("auc.value", "0.9123"),
        ("auc.ci", "0.9 – 0.95"),
        ("note", "held out"),
    ]
