"""Closed months: each day only the open ones are walked, and a closed one that was touched is found."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from cad_platform.audit import chain, roots
from cad_platform.audit.models import AuditEvent, AuditRoot, AuditSeal
from cad_platform.audit.services import record
from cad_platform.audit.tasks import verify as daily
from cad_platform.core.actor import Actor
from tests.audit.test_chain import fresh_sealer, run_verify, tamper, write_events

__all__ = ["fresh_sealer", "tamper"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def three_months(tamper: psycopg.Connection[Any]) -> list[date]:
    """Two links in each of the two months before this one, and two in this one."""
    first = timezone.now().astimezone(UTC).date().replace(day=1)
    last = (first - timedelta(days=1)).replace(day=1)
    before = (last - timedelta(days=1)).replace(day=1)
    write_events(6)
    assert chain.seal_pending() == 6
    for sequences, month in (((1, 2), before), ((3, 4), last)):
        tamper.execute(
            "UPDATE audit_auditseal SET sealed_at = %s WHERE sequence = ANY(%s)",
            [datetime(month.year, month.month, 15, tzinfo=UTC), list(sequences)],
        )
    return [before, last, first]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second day of a month at least: on the first, the month before is still open."""
    now = timezone.now()
    monkeypatch.setattr(roots.timezone, "now", lambda: max(now, now.replace(day=3)))


def test_months_that_are_over_are_closed_once(three_months: list[date], later: None) -> None:
    closed = roots.close_months()
    assert [(each.month, each.first_sequence, each.last_sequence) for each in closed] == [
        (three_months[0], 1, 2),
        (three_months[1], 3, 4),
    ]
    assert closed[1].hash == AuditSeal.objects.get(sequence=4).hash
    assert roots.close_months() == []
    found = roots.verify_open()
    assert found.intact and found.events == 2 and found.head_sequence == 6
    everything, failed = run_verify("--full")
    assert everything["events"] == 6 and not failed
    of_open, failed = run_verify()
    assert of_open["events"] == 2 and of_open["anchor"] == everything["anchor"] and not failed


def test_a_month_that_has_just_ended_waits_for_stragglers(
    three_months: list[date], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = datetime(three_months[2].year, three_months[2].month, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(roots.timezone, "now", lambda: first)
    assert [each.month for each in roots.close_months()] == three_months[:1]


def test_a_month_that_does_not_hold_is_not_closed(
    three_months: list[date], later: None, tamper: psycopg.Connection[Any]
) -> None:
    event = AuditSeal.objects.get(sequence=3).event_id
    tamper.execute("UPDATE audit_auditevent SET action = 'forged' WHERE id = %s", [event])
    assert [each.month for each in roots.close_months()] == three_months[:1]
    assert [problem.kind for problem in roots.verify_open().problems] == ["altered"]
    assert daily() == 1


def test_an_event_of_a_closed_month_is_found_on_demand(
    three_months: list[date], later: None, tamper: psycopg.Connection[Any]
) -> None:
    roots.close_months()
    event = AuditSeal.objects.get(sequence=1).event_id
    tamper.execute("UPDATE audit_auditevent SET action = 'forged' WHERE id = %s", [event])
    assert roots.verify_open().intact, "each day the closed months are taken at their roots' word"
    assert not run_verify()[1] and run_verify("--full")[1]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM audit_auditseal WHERE sequence = 1", "missing"),
        ("DELETE FROM audit_auditseal WHERE sequence = 2", "root"),
        ("UPDATE audit_auditseal SET hash = repeat('0', 64) WHERE sequence = 4", "root"),
        ("UPDATE audit_auditroot SET hash = repeat('0', 64) WHERE last_sequence = 2", "root"),
        ("DELETE FROM audit_auditroot WHERE last_sequence = 2", "root"),
        ("UPDATE audit_auditroot SET first_sequence = 2 WHERE last_sequence = 2", "root"),
    ],
)
def test_a_root_or_a_closed_link_that_was_touched_is_found_each_day(
    three_months: list[date], later: None, tamper: psycopg.Connection[Any], statement: str, kind: str
) -> None:
    roots.close_months()
    tamper.execute(statement)
    assert kind in {problem.kind for problem in roots.verify_open().problems}
    assert run_verify()[1] and run_verify("--full")[1]


def test_a_recomputed_chain_does_not_end_as_it_did(
    three_months: list[date], later: None, tamper: psycopg.Connection[Any]
) -> None:
    """Who owns the database and alters an event recomputes every link after it: only a root shows it."""
    roots.close_months()
    event = AuditSeal.objects.get(sequence=2).event_id
    tamper.execute("UPDATE audit_auditevent SET action = 'forged' WHERE id = %s", [event])
    previous = AuditSeal.objects.get(sequence=1).hash
    for seal in AuditSeal.objects.filter(sequence__gt=1).order_by("sequence"):
        digest = chain.link(seal.sequence, previous, AuditEvent.objects.get(pk=seal.event_id))
        tamper.execute(
            "UPDATE audit_auditseal SET previous_hash = %s, hash = %s WHERE sequence = %s",
            [previous, digest, seal.sequence],
        )
        previous = digest
    assert chain.verify().intact
    assert {problem.kind for problem in roots.verify_open().problems} >= {"root"}
    assert run_verify()[1]


def test_an_anchor_of_a_closed_month_stands_each_day(three_months: list[date], later: None) -> None:
    noted = AuditSeal.objects.get(sequence=1)
    roots.close_months()
    assert not run_verify("--anchor", f"1:{noted.hash}")[1]
    assert run_verify("--anchor", f"1:{'0' * 64}")[1]


def test_two_who_close_at_once_close_a_month_once(three_months: list[date], later: None) -> None:
    def close() -> None:
        try:
            roots.close_months()
        finally:
            connections.close_all()

    both = [threading.Thread(target=close) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert AuditRoot.objects.count() in (1, 2)
    roots.close_months()
    assert list(AuditRoot.objects.order_by("month").values_list("last_sequence", flat=True)) == [2, 4]


def test_a_root_is_written_once(three_months: list[date], later: None) -> None:
    roots.close_months()
    for change in (lambda: AuditRoot.objects.update(hash=""), lambda: AuditRoot.objects.all().delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_an_empty_log_has_nothing_to_close(db: None) -> None:
    assert roots.close_months() == [] and roots.verify_open().intact
    record(Actor.system("test"), "study.view")
    assert daily() == 0
