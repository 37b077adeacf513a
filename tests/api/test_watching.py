"""What the models do, through the API: the numbers of the pages, for administrators alone."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from cad_platform.accounts.models import Role, Site
from cad_platform.audit.models import AuditEvent
from cad_platform.quality.models import Alert, AlertRule, DeviceTest
from cad_platform.registry.models import ModelVersion
from tests import factories
from tests.quality.generated import analysed

pytestmark = pytest.mark.django_db
BASE = "/api/v1/watching"
ONE = {"model": "ultrasound", "version": "2.2.0"}
FIGURES = ("figures", "drift", "calibration", "subgroups")


@pytest.fixture
def site() -> Site:
    return factories.site("north")


@pytest.fixture
def version() -> ModelVersion:
    return factories.model_version("ultrasound", "US", "2.2.0")


@pytest.fixture
def administrator(client: Client) -> Client:
    client.force_login(factories.user(Role.ADMINISTRATOR))
    return client


@pytest.fixture
def month(site: Site, version: ModelVersion) -> None:
    """Forty cases, of which every second is proven positive, and a failure."""

    def each(number: int) -> dict[str, Any]:
        return {"proven_positive": number % 2 == 0, "vendor": "Acme", "sides": "L"}

    scores = [0.9 if number % 2 == 0 else 0.1 for number in range(40)]
    analysed(site, version, [*scores, None], begin=timezone.now() - timezone.timedelta(hours=20), each=each)


@pytest.fixture
def alert(site: Site, version: ModelVersion) -> Alert:
    rule = AlertRule.objects.get(measure="latency")
    return Alert.objects.create(
        rule=rule, site=site, model_version=version, value=12.5, threshold=5.0, evidence={"count": 40}
    )


def asked(client: Client, what: str, **query: Any) -> Any:
    answer = client.get(f"{BASE}/{what}", ONE | query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_figures_of_a_period(administrator: Client, month: None) -> None:
    found = asked(administrator, "figures", days=7)
    assert found["choice"] == {**ONE, "site": None, "days": 7}
    assert (found["ended"], found["verdicts"], found["states"]) == (41, 40, {"succeeded": 40, "failed": 1})
    assert found["failures"] == {"another": 1} and sum(found["scores"]) == 40
    assert sum(period["ended"] for period in found["periods"]) == 41
    total = next(each for each in found["latencies"] if each["phase"] == "total")
    assert total == {"phase": "total", "median_seconds": 1.0, "p95_seconds": 1.0}
    assert asked(administrator, "figures", site="north", days=1)["choice"]["site"] == "north"


def test_drift_calibration_and_subgroups(
    administrator: Client, month: None, site: Site, version: ModelVersion
) -> None:
    DeviceTest.objects.create(
        site=site, model_version=version, device="Acme 3", up_to=timezone.now(), images=100,
        named=["contrast"], result={},
    )  # fmt: skip
    drift = asked(administrator, "drift")
    assert drift["sites"] == [
        {"site": "north", "population_stability_index": None, "kolmogorov_smirnov": None, "cases": None}
    ]
    assert drift["devices"][0]["device"] == "Acme 3" and drift["devices"][0]["differs_in"] == ["contrast"]
    calibration = asked(administrator, "calibration")
    assert calibration["judged"] == 40 and calibration["auc"]["value"] == 1.0
    assert [(each["cases"], each["found_percent"]) for each in calibration["tenths"]] == [
        (20, 0.0),
        (20, 100.0),
    ]
    groups = asked(administrator, "subgroups")["results"]
    vendor = next(each for each in groups if each["group"] == "vendor")
    assert (vendor["value"], vendor["verdicts"], vendor["positive"], vendor["judged"]) == ("Acme", 40, 20, 40)


def test_an_alert_is_taken_on(administrator: Client, alert: Alert) -> None:
    listed = administrator.get(f"{BASE}/alerts").json()["results"]
    assert [(each["id"], each["measure"], each["site"]) for each in listed] == [
        (str(alert.pk), "latency", "north")
    ]
    assert administrator.get(f"{BASE}/alerts?standing=false").json() == {"results": []}
    path = f"{BASE}/alerts/{alert.pk}"
    for note in ("A disk was full.", "Cleared."):
        taken = administrator.post(f"{path}/acknowledge", {"note": note}, content_type="application/json")
        assert taken.status_code == 200 and taken.json()["note"] == note
    assert administrator.get(path).json()["acknowledged_by"]
    assert AuditEvent.objects.filter(action="alert.acknowledge").count() == 2
    too_long = {"note": "x" * 2001}
    assert (
        administrator.post(f"{path}/acknowledge", too_long, content_type="application/json").status_code
        == 422
    )


def test_what_is_not_there_and_what_is_misspelt(administrator: Client, version: ModelVersion) -> None:
    for query, status in (
        ({"version": "9.9.9"}, 404),
        ({"site": "nowhere"}, 404),
        ({"days": "5"}, 422),
        ({"days": "many"}, 422),
        ({"devise": "x"}, 422),
    ):
        for what in FIGURES:
            assert administrator.get(f"{BASE}/{what}", ONE | query).status_code == status, (what, query)
    assert administrator.get(f"{BASE}/figures").status_code == 422
    assert administrator.get(f"{BASE}/alerts?standing=perhaps").status_code == 422
    assert administrator.get(f"{BASE}/alerts/{'0' * 8}-0000-0000-0000-{'0' * 12}").status_code == 404


def test_nobody_else_looks_or_takes_on(client: Client, site: Site, alert: Alert) -> None:
    for role in set(Role.values) - {Role.ADMINISTRATOR}:
        client.force_login(factories.user(role, site))
        for what in (*FIGURES, "alerts", f"alerts/{alert.pk}"):
            assert client.get(f"{BASE}/{what}", ONE if what in FIGURES else {}).status_code == 403, (
                role,
                what,
            )
        assert client.post(f"{BASE}/alerts/{alert.pk}/acknowledge").status_code == 403, role
    assert Client().get(f"{BASE}/alerts").status_code == 401


def test_the_numbers_by_command(month: None, site: Site, version: ModelVersion) -> None:
    """`bin/manage watching`: the page's own numbers as text."""

    def told(*arguments: str) -> str:
        out = io.StringIO()
        call_command("watching", *arguments, stdout=out)
        return out.getvalue()

    page = told("ultrasound", "2.2.0")
    assert page.startswith(f"{version} at every site, the last 7 days\n")
    for line in (
        "\n  90  20  ████",
        "\n  Failed  Another reason  1\n",
        "AUC 1.000 [0.899, 1.000] of the latest 40 cases",
        "\n  Vendor  Acme  40  50.0 %  40  1.000",
        "\n  Hospital north  —  —  too few yet\n",
    ):
        assert line in page, (line, page)
    assert "at north, the last 1 days" in told("ultrasound", "2.2.0", "--site", "north", "--days", "1")
    for wrong in (("ultrasound", "9.9.9"), ("ultrasound", "2.2.0", "--site", "nowhere")):
        with pytest.raises(CommandError, match="There is no such"):
            told(*wrong)


def test_a_rule_is_changed(administrator: Client) -> None:
    listed = administrator.get(f"{BASE}/rules").json()["results"]
    latency = next(each for each in listed if each["measure"] == "latency")
    assert len(listed) == AlertRule.objects.count()
    assert (latency["threshold"], latency["owner"], latency["watched"]) == (300.0, None, True)
    owner = factories.user(Role.ADMINISTRATOR)

    def put(measure: str, body: Any) -> Any:
        return administrator.put(f"{BASE}/rules/{measure}", body, content_type="application/json")

    wanted = {"threshold": 120.5, "owner": owner.username, "watched": False}
    for _ in range(2):
        assert put("latency", wanted).json() == latency | wanted
    assert AuditEvent.objects.filter(action="alert.change_rule").count() == 1
    assert put("latency", {"threshold": 300}).json() == latency
    for measure, body, status in (
        ("patience", {"threshold": 1}, 404),
        ("latency", {"threshold": 0}, 422),
        ("latency", {"threshold": 1, "owner": "nobody"}, 422),
        ("latency", {"threshold": 1, "owner": factories.user(Role.RADIOLOGIST).username}, 422),
        ("latency", {}, 422),
    ):
        assert put(measure, body).status_code == status, (measure, body)


def test_nobody_else_reads_or_changes_rules(client: Client, site: Site) -> None:
    for role in set(Role.values) - {Role.ADMINISTRATOR}:
        client.force_login(factories.user(role, site))
        assert client.get(f"{BASE}/rules").status_code == 403
        assert client.put(f"{BASE}/rules/latency", {}, content_type="application/json").status_code == 403
