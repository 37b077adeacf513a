"""The administrators' pages: figures with their numbers, alerts taken on, rules changed; and /metrics."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role, Site
from cad_platform.quality import exposition, watching
from cad_platform.quality.measures import Measured
from cad_platform.quality.models import Alert, AlertRule
from cad_platform.registry.models import ModelVersion
from tests import factories
from tests.quality.generated import analysed

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(factories.user(Role.ADMINISTRATOR))
    return client


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def version() -> ModelVersion:
    return factories.model_version()


def work(site: Site, version: ModelVersion) -> None:
    def each(number: int) -> dict[str, Any]:
        return {} if number == 60 else {
            "device": "Acme 3", "age_band": "50–59", "sides": "LR", "accepted": 1, "rejected": 1,
            "signed_at": timezone.now(), "said_positive": number % 4 == 0, "conclusion": "4A",
        }  # fmt: skip

    scores = [0.9 if number % 4 == 0 else 0.1 + number % 10 / 40 for number in range(60)]
    analysed(
        site, version, [*scores, None], begin=timezone.now() - timedelta(hours=5),
        apart=timedelta(minutes=4), each=each,
    )  # fmt: skip


def page(browser: Client, language: str = "", **choice: Any) -> str:
    headers = {"accept-language": language} if language else {}
    answer = browser.get(reverse("quality"), choice, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_empty_platform_says_so(browser: Client) -> None:
    assert "Nothing in this time" in page(browser)


def test_figures_with_their_numbers(browser: Client, site: Site, version: ModelVersion) -> None:
    work(site, version)
    shown = page(browser, days=1, site=site.code, version=version.pk)
    assert "60 signed reports." in shown and "Acme 3" in shown and "50–59" in shown
    assert "volume-title" in shown and "scores-title" in shown and shown.count("The numbers as a table") == 2
    assert "Another reason" in shown and "AUC 1.000" not in page(browser, site=factories.site().code)
    assert "此期间" in page(browser, "zh-hans", site=factories.site().code)


@pytest.mark.parametrize("choice", [{"days": "x"}, {"days": "-1"}, {"version": "9999"}, {"site": "nowhere"}])
def test_what_nobody_can_choose_is_the_usual(browser: Client, choice: dict[str, str]) -> None:
    page(browser, **choice)


def test_an_alert_is_taken_on_with_a_note(browser: Client, site: Site, version: ModelVersion) -> None:
    rule = AlertRule.objects.get(measure="drift")
    found = Measured(0.4, True, {"ks": 0.31, "p": 1e-9, "cases": 200, "reference": 300})
    watching.settle(rule, site.pk, version.pk, found, timezone.now())
    alert = Alert.objects.get()
    address = reverse("alert", args=[alert.pk])
    assert address in browser.get(reverse("alerts")).content.decode()
    assert address in page(browser)
    shown = browser.get(address).content.decode()
    assert "Kolmogorov-Smirnov statistic" in shown and "0.31" in shown
    assert browser.post(address, {"note": "A new detector."}).status_code == 302
    shown = browser.get(address).content.decode()
    assert "A new detector." in shown and "Keep the note" in shown
    assert browser.post(address, {"note": "x" * 2001}).status_code == 422


def test_a_rule_is_changed(browser: Client) -> None:
    assert "every administrator" in browser.get(reverse("alert-rules")).content.decode()
    address = reverse("alert-rule", args=["drift"])
    assert browser.post(address, {"threshold": "-1", "is_on": "yes"}).status_code == 422
    assert browser.post(address, {"threshold": "0.4", "is_on": "no"}).status_code == 302
    rule = AlertRule.objects.get(measure="drift")
    assert (rule.threshold, rule.is_on) == (0.4, False)
    assert browser.get(reverse("alert-rule", args=["weather"])).status_code == 404


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER, Role.INTEGRATOR])
def test_who_may_not(site: Site, role: str) -> None:
    client = Client()
    client.force_login(factories.user(role, site))
    for name in ("quality", "alerts", "alert-rules"):
        assert client.get(reverse(name)).status_code == 403
    assert client.post(reverse("alert-rule", args=["drift"]), {"threshold": "1"}).status_code == 403


def test_metrics_are_of_the_last_day(site: Site, version: ModelVersion) -> None:
    work(site, version)
    found = {metric.name: metric.samples for metric in exposition.metrics()}
    ended = {sample.labels["state"]: sample.value for sample in found["cad_analyses_last_day"]}
    assert ended == {"succeeded": 60, "failed": 1}
    assert {sample.labels["site"] for sample in found["cad_verdicts_last_day"]} == {site.code}
    bounds = {sample.labels["phase"]: sample.value for sample in found["cad_analysis_seconds_last_day"]}
    assert bounds == {"total": 1.0}
    assert sum(sample.value for sample in found["cad_model_alerts"]) == 0
