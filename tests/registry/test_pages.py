"""The models as administrators see them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.core.models import ComponentProbe
from cad_platform.core.request import Actor
from cad_platform.registry.cards import card_html
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.services import register_from_store
from cad_platform.registry.views import flat_metrics
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(factories.user(Role.ADMINISTRATOR))
    return client


def test_a_models_page_says_what_it_is_and_whether_it_answers(browser: Client) -> None:
    version = register_from_store(Actor.system("test"))[0]
    url = reverse("model", args=[version.pk])
    assert "Not tried yet" in browser.get(url).content.decode()
    probe = ComponentProbe.objects.create(
        component=f"model:{version.name}", succeeded_at=timezone.now(), latency_ms=42
    )
    page = browser.get(url).content.decode()
    assert "Answers" in page and "42 ms" in page and version.weights_sha256 in page
    assert version.name in browser.get(reverse("models")).content.decode()
    probe.succeeded_at = timezone.now() - timedelta(seconds=40)
    probe.save()
    assert "Does not answer" in browser.get(url).content.decode()


def test_another_version_becomes_the_default(browser: Client) -> None:
    version = register_from_store(Actor.system("test"))[0]
    version.pk, version.version, version.is_default = None, "0.0.1", False
    version.save(force_insert=True)
    browser.post(reverse("model-make-default", args=[version.pk]))
    defaults = ModelVersion.objects.filter(name=version.name, is_default=True)
    assert [default.version for default in defaults] == ["0.0.1"]


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


def test_a_cards_plots_are_shown_while_the_store_holds_the_version(browser: Client) -> None:
    version = register_from_store(Actor.system("test"))[0]
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
