"""What a monitoring system scrapes, and who may."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cad_platform.accounts.models import Role
from cad_platform.analysis import backlog
from cad_platform.core.declarations import Metric, Sample
from cad_platform.core.proofs import ProbeFailed
from cad_platform.operations.metrics import text_of
from tests import factories
from tests.analysis.test_turns import waiting

pytestmark = pytest.mark.django_db(transaction=True)


def scraped(client: Client, **headers: str) -> dict[str, float]:
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.content
    lines = [line for line in answer.content.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_age_and_number_of_each_queue_and_priority(settings: Any) -> None:
    settings.METRICS_TOKEN = "scraper"
    waiting("stat", minutes=2)
    waiting("stat", minutes=1)
    waiting("routine", minutes=30, queue="slide")
    waiting("urgent", queue="slide", state="running")
    found = scraped(Client(), authorization="Bearer scraper")
    assert found['cad_queue_waiting_jobs{queue="short",priority="stat"}'] == 2
    assert 110 < found['cad_queue_oldest_seconds{queue="short",priority="stat"}'] < 200
    assert found['cad_queue_waiting_jobs{queue="short",priority="routine"}'] == 0
    assert found['cad_queue_running_jobs{queue="slide",priority="urgent"}'] == 1
    assert found['cad_queue_oldest_seconds{queue="slide",priority="routine"}'] > 1790
    assert found['cad_component_up{component="database"}'] == 1


def test_who_may(settings: Any) -> None:
    assert Client().get("/metrics").status_code == 401
    settings.METRICS_TOKEN = "scraper"
    assert Client().get("/metrics", headers={"authorization": "Bearer another"}).status_code == 401
    clinician, administrator = Client(), Client()
    clinician.force_login(factories.user(Role.RADIOLOGIST))
    administrator.force_login(factories.user(Role.ADMINISTRATOR))
    assert clinician.get("/metrics").status_code == 403
    assert administrator.get("/metrics").status_code == 200


def test_a_queue_that_is_late_is_said(settings: Any) -> None:
    settings.QUEUE_ALERT_SECONDS = {"stat": 60.0}
    waiting("routine", minutes=500)
    checks = backlog.checks()
    assert set(checks) == {"queue:short", "queue:slide"}
    checks["queue:short"]()
    waiting("stat", minutes=2)
    with pytest.raises(ProbeFailed, match="the oldest stat one of 1 waits since 1"):
        checks["queue:short"]()
    checks["queue:slide"]()


def test_labels_are_written_so_that_they_end_where_they_end() -> None:
    metric = Metric("m", "h", (Sample(1.5, {"host": 'a"b\\c\nd'}), Sample(2.0)))
    assert text_of([metric]) == '# HELP m h\n# TYPE m gauge\nm{host="a\\"b\\\\c\\nd"} 1.5\nm 2\n'


def test_a_figure_keeps_its_digits() -> None:
    metric = Metric("cad_x", "x", (Sample(1795991867.107), Sample(1234567.0), Sample(0.0)))
    assert text_of([metric]).splitlines()[2:] == ["cad_x 1795991867.107", "cad_x 1234567", "cad_x 0"]
