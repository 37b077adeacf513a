"""Alerts: planted faults raise one, quiet times none; one while it goes on; who is told; who takes it on."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from cad_platform.accounts.models import Role, Site
from cad_platform.audit.models import AuditEvent
from cad_platform.core import outbox
from cad_platform.core.errors import Invalid, NotFound, NotPermitted
from cad_platform.core.models import OutboxEvent
from cad_platform.quality import devices, services, watching
from cad_platform.quality.measures import MEASURES, REFERENCE, Measured
from cad_platform.quality.models import Alert, AlertRule, DeviceTest, Measure
from cad_platform.registry.models import ModelVersion
from tests import factories
from tests.quality.generated import analysed

pytestmark = pytest.mark.django_db

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def version() -> ModelVersion:
    return factories.model_version()


def chances(generator: np.random.Generator, count: int, shift: float = 0.0) -> list[float]:
    """Scores around log-odds of −1."""
    return [float(one) for one in 1 / (1 + np.exp(-generator.normal(-1 + shift, 1.5, count)))]


def raised() -> list[str]:
    return list(Alert.objects.order_by("raised_at").values_list("rule__measure", flat=True))


def test_every_measure_has_a_rule_and_a_way() -> None:
    assert set(AlertRule.objects.values_list("measure", flat=True)) == set(Measure.values)
    assert set(MEASURES) == set(Measure.values) - {Measure.KNOWN_CASE, Measure.ACCEPTANCE}
    assert "delivery.alert_raised" in outbox.subscribers(watching.RAISED_TOPIC)


def test_a_quiet_month_raises_nothing_and_planted_drift_one_within_200_images(
    site: Site, version: ModelVersion
) -> None:
    generator = np.random.default_rng(11)
    apart = timedelta(minutes=30)
    quiet = chances(generator, REFERENCE + 1000)
    analysed(site, version, quiet, begin=BEGIN, apart=apart)
    end = BEGIN + len(quiet) * apart
    for day in range(1, 28):
        watching.watch(BEGIN + day * DAY)
    assert raised() == []
    analysed(site, version, chances(generator, 200, shift=1.5), begin=end, apart=apart)
    assert watching.watch(end + 200 * apart) == 1
    assert raised() == ["drift"]
    alert = Alert.objects.get()
    assert alert.value >= 0.25 and alert.evidence["cases"] == 200 and alert.site == site
    # It goes on: one alert, told once.
    assert watching.watch(end + 201 * apart) == 0
    assert Alert.objects.count() == OutboxEvent.objects.filter(topic=watching.RAISED_TOPIC).count() == 1
    # Quiet again, it ends; the next is another.
    back = end + 200 * apart
    analysed(site, version, chances(generator, 200), begin=back, apart=apart)
    watching.watch(back + 200 * apart)
    alert.refresh_from_db()
    assert alert.ended_at is not None


@pytest.mark.parametrize(
    ("measure", "each", "scores"),
    [
        ("failures", {}, [None] * 12 + [0.1] * 20),
        ("unlike", {"state": "succeeded", "score": None}, [0.2] * 30),
        ("refusals", {"state": "not_applicable", "score": None}, [0.2] * 30),
        ("latency", {"seconds": {"total": 900.0}}, [0.2] * 30),
        (
            "overrides",
            {"signed_at": BEGIN + timedelta(hours=8), "said_positive": True, "is_positive": False},
            [0.1] * 80,
        ),
    ],
)
def test_what_is_planted_raises_its_own(
    site: Site, version: ModelVersion, measure: str, each: dict[str, Any], scores: list[Any]
) -> None:
    apart = timedelta(minutes=5)
    analysed(site, version, scores, begin=BEGIN, apart=apart, each=lambda _number: each)
    watching.watch(BEGIN + timedelta(hours=9))
    assert measure in raised()
    AlertRule.objects.filter(measure=measure).update(is_on=False)
    watching.watch(BEGIN + timedelta(hours=9, minutes=1))
    assert not Alert.objects.filter(rule__measure=measure, ended_at__isnull=True).exists()


@pytest.mark.parametrize("bent", [False, True])
def test_calibration_and_auc_against_what_was_found(site: Site, version: ModelVersion, bent: bool) -> None:
    version.manifest["positive_class"] = "malignant"
    version.save()
    generator = np.random.default_rng(3)
    scores = chances(generator, 400)
    truths = [bool(generator.random() < (0.5 if bent else score)) for score in scores]
    analysed(
        site, version, scores, begin=BEGIN, each=lambda number: {"proven_positive": truths[number]}
    )  # fmt: skip
    watching.watch(BEGIN + 3 * DAY)
    found = {"calibration", "auc"} & set(raised())
    assert found == ({"calibration", "auc"} if bent else set())


def test_few_say_nothing(site: Site, version: ModelVersion) -> None:
    analysed(site, version, [None] * 10, begin=BEGIN)
    assert watching.watch(BEGIN + timedelta(hours=3)) == 0


def test_a_device_whose_images_differ_twice_raises_one(site: Site, settings: Any, tmp_path: Any) -> None:
    """With the reference that the ultrasound model brings: its own images raise nothing, foreign contrast does."""
    from inference.evaluation.shift import read_reference
    from tests.registered import models_in_use

    version = models_in_use()["ultrasound"]
    reference = read_reference(settings.MODEL_STORE / version.name / version.version)
    generator = np.random.default_rng(5)

    def image(number: int, study: Any, foreign: bool) -> dict[str, Any]:
        seen = reference[int(generator.integers(len(reference)))].features
        score = 1 / (1 + np.exp(-seen["score"]))
        return {
            "contract_version": "1.0",
            "model": {"name": version.name, "version": version.version, "weights_sha256": "ab" * 32,
                      "preprocessing_sha256": "cd" * 32},
            "probabilities": {"malignant": score}, "thresholds": {}, "timings": {},
            "images": [{
                "image_id": str(number), "flags": ["out_of_distribution"] if seen["gate"] else [],
                "probabilities": {"malignant": score, "benign": 1 - score},
                "descriptors": {
                    "contrast": seen["contrast"] + 0.2 * foreign, "entropy": seen["entropy"],
                    "sharpness": seen["sharpness"],
                },
            }],
        }  # fmt: skip

    for name, foreign in (("Acme own", False), ("Other 9", True)):
        analysed(
            site, version, [0.2] * 205, begin=BEGIN, apart=timedelta(minutes=1 if foreign else 2),
            each=lambda _number, name=name: {"device": name},
            result=lambda number, study, foreign=foreign: image(number, study, foreign),
        )  # fmt: skip
    assert devices.test_devices(BEGIN + DAY) == 4
    assert devices.test_devices(BEGIN + DAY) == 0
    assert [bool(test.named) for test in DeviceTest.objects.order_by("device", "up_to")] == [
        False, False, True, True,
    ]  # fmt: skip
    watching.watch(BEGIN + DAY)
    alert = Alert.objects.get(rule__measure="device")
    assert alert.device == "Other 9" and "contrast" in alert.evidence["features"]


class TestPeople:
    @pytest.fixture
    def alert(self, site: Site, version: ModelVersion) -> Alert:
        rule = AlertRule.objects.get(measure="failures")
        assert watching.settle(rule, site.pk, version.pk, Measured(0.5, True, {"count": 5}), BEGIN)
        return Alert.objects.get()

    def test_it_is_taken_on_once_and_its_note_may_change(self, alert: Alert) -> None:
        first, second = factories.actor(Role.ADMINISTRATOR), factories.actor(Role.ADMINISTRATOR)
        services.acknowledge(first, alert.pk, "Looking")
        taken = services.acknowledge(second, alert.pk, "The disk was full.")
        assert taken.acknowledged_by == first.user and taken.note == "The disk was full."
        assert AuditEvent.objects.filter(action="alert.acknowledge").count() == 2
        services.acknowledge(second, alert.pk, "The disk was full.")
        assert AuditEvent.objects.filter(action="alert.acknowledge").count() == 2

    def test_who_may(self, alert: Alert, site: Site) -> None:
        radiologist = factories.actor(Role.RADIOLOGIST, site)
        with pytest.raises(NotPermitted):
            services.acknowledge(radiologist, alert.pk)
        with pytest.raises(NotPermitted):
            services.change_rule(radiologist, "drift", threshold=1, owner=None, is_on=True)

    @pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
    def test_a_threshold_is_a_positive_number(self, threshold: float) -> None:
        with pytest.raises(Invalid):
            services.change_rule(
                factories.actor(Role.ADMINISTRATOR), "drift", threshold=threshold, owner=None, is_on=True
            )

    def test_a_rule_has_an_owner_who_is_an_administrator(self, site: Site) -> None:
        administrator = factories.actor(Role.ADMINISTRATOR)
        rule = services.change_rule(
            administrator, "drift", threshold=0.1, owner=administrator.user, is_on=False
        )
        assert (rule.threshold, rule.owner, rule.is_on) == (0.1, administrator.user, False)
        with pytest.raises(Invalid):
            services.change_rule(
                administrator, "drift", threshold=0.1, owner=factories.user(at=site), is_on=True
            )
        with pytest.raises(NotFound):
            services.change_rule(administrator, "weather", threshold=1, owner=None, is_on=True)


@pytest.mark.django_db(transaction=True)
def test_two_that_watch_at_once_raise_one() -> None:
    site, version = factories.site(), factories.model_version()
    rule = AlertRule.objects.get(measure="failures")
    start, made = threading.Barrier(4), []

    def run() -> None:
        try:
            start.wait(30)
            made.append(watching.settle(rule, site.pk, version.pk, Measured(1.0, True), BEGIN))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(made) == [False, False, False, True] and Alert.objects.count() == 1


def test_alerts_and_rules_by_command(
    site: Site, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pages and the API do; what is done in a person's name asks for that person's password."""

    def told(*arguments: str) -> str:
        out = io.StringIO()
        call_command("alerts", *arguments, stdout=out)
        return out.getvalue()

    administrator = factories.user(Role.ADMINISTRATOR)
    assert told("list") == "There is none.\n"
    rule = AlertRule.objects.get(measure="latency")
    watching.settle(rule, site.pk, version.pk, Measured(900.0, True, {}), BEGIN)
    alert = Alert.objects.get()
    assert f"latency  {version} at {site.code}  900 (from 300)" in told("list") and told(
        "list", "--ended"
    ) == ("There is none.\n")
    monkeypatch.setattr("getpass.getpass", lambda _prompt: factories.PASSWORD)
    taken = told(
        "acknowledge", str(alert.pk), "--user", administrator.username, "--note", "The disk was full."
    )
    assert taken.rstrip().endswith(f"taken on by {administrator.printed_name}: The disk was full.")
    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.note) == (administrator, "The disk was full.")
    for role in (Role.RADIOLOGIST, Role.CLINICAL_LEAD):
        with pytest.raises(CommandError):
            told("acknowledge", str(alert.pk), "--user", factories.user(role, site).username)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "another")
    with pytest.raises(CommandError, match="password"):
        told("acknowledge", str(alert.pk), "--user", administrator.username)

    assert "latency  from 300  everybody  watched" in told("rules") and len(told("rules").splitlines()) == 11
    changed = told("set", "latency", "--threshold", "120.5", "--owner", administrator.username)
    assert changed == f"latency  from 120.5  {administrator.username}  watched\n"
    assert told("set", "latency", "--watched", "no", "--owner", "everybody") == (
        "latency  from 120.5  everybody  not watched\n"
    )
    event = AuditEvent.objects.filter(action="alert.change_rule").latest("pk")
    assert event.actor_label == "system:alerts"
    for wrong in (("--threshold", "0"), ("--threshold", "nan"), ("--owner", "nobody")):
        with pytest.raises(CommandError):
            told("set", "latency", *wrong)
