"""The audit chain names whatever was altered, removed or never sealed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from cad_platform.audit import chain
from cad_platform.audit.models import AuditEvent, AuditSeal
from cad_platform.audit.selectors import actions
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh_sealer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "_last_full_scan", None)


def write_events(count: int) -> list[AuditEvent]:
    actor = Actor.system("test")
    return [
        record(actor, "study.view", object_type="study", object_id=n, detail_number=n, share=0.1 * n, 名="值")
        for n in range(count)
    ]


@pytest.fixture
def tamper(superuser_url: str) -> Iterator[psycopg.Connection[Any]]:
    """PostgreSQL's superuser with the triggers off: the strongest one who could alter the log."""
    with psycopg.connect(superuser_url, autocommit=True) as session:
        session.execute("SET session_replication_role = replica")
        yield session


def run_verify(*arguments: str) -> tuple[dict[str, Any], bool]:
    out, failed = StringIO(), False
    try:
        call_command("verify_audit", "--json", *arguments, stdout=out)
    except CommandError as error:
        assert error.returncode == 1
        failed = True
    return json.loads(out.getvalue()), failed


def test_an_untouched_log_verifies() -> None:
    write_events(7)
    assert chain.seal_pending() == 7
    assert chain.seal_pending() == 0
    answer, failed = run_verify()
    assert not failed
    assert answer["intact"] and answer["events"] == 7 and answer["unsealed"] == 0


def test_the_sealer_rests_where_nothing_happens_and_sees_what_came() -> None:
    write_events(2)
    busy = chain.take_turn()
    idle = chain.take_turn()
    assert 0 < busy < idle < chain.UNSEALED_LIMIT.total_seconds() / 10
    assert chain.take_turn() == idle
    write_events(1)
    assert chain.take_turn() == busy
    assert not run_verify()[1]


def test_batches_link_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "BATCH", 3)
    write_events(8)
    assert chain.seal_pending() == 8
    write_events(2)
    assert chain.seal_pending() == 2
    assert list(AuditSeal.objects.order_by("sequence").values_list("sequence", flat=True)) == list(
        range(1, 11)
    )
    assert chain.verify().intact


def test_an_altered_event_is_named(tamper: psycopg.Connection[Any]) -> None:
    events = write_events(5)
    chain.seal_pending()
    tamper.execute("UPDATE audit_auditevent SET actor_label = 'someone else' WHERE id = %s", [events[2].pk])
    answer, failed = run_verify()
    assert failed
    assert [(p["kind"], p["event_id"]) for p in answer["problems"]] == [("altered", events[2].pk)]


def test_one_number_in_the_detail_is_enough(tamper: psycopg.Connection[Any]) -> None:
    events = write_events(3)
    chain.seal_pending()
    tamper.execute(
        "UPDATE audit_auditevent SET detail = jsonb_set(detail, '{share}', '0.25') WHERE id = %s",
        [events[1].pk],
    )
    assert [problem.event_id for problem in chain.verify().problems] == [events[1].pk]


def test_a_removed_event_is_named(tamper: psycopg.Connection[Any]) -> None:
    events = write_events(4)
    chain.seal_pending()
    tamper.execute("DELETE FROM audit_auditevent WHERE id = %s", [events[1].pk])
    answer, failed = run_verify()
    assert failed
    assert [(p["kind"], p["event_id"]) for p in answer["problems"]] == [("missing", events[1].pk)]


def test_an_event_removed_with_its_link_leaves_a_gap(tamper: psycopg.Connection[Any]) -> None:
    events = write_events(4)
    chain.seal_pending()
    tamper.execute("DELETE FROM audit_auditseal WHERE event_id = %s", [events[1].pk])
    tamper.execute("DELETE FROM audit_auditevent WHERE id = %s", [events[1].pk])
    assert [(p.kind, p.sequence) for p in chain.verify().problems] == [("missing", 2)]


def test_a_recomputed_link_breaks_the_next_one(tamper: psycopg.Connection[Any]) -> None:
    events = write_events(4)
    chain.seal_pending()
    tamper.execute("UPDATE audit_auditevent SET outcome = 'failure' WHERE id = %s", [events[1].pk])
    seal = AuditSeal.objects.get(sequence=2)
    forged = chain.link(2, seal.previous_hash, AuditEvent.objects.get(pk=events[1].pk))
    tamper.execute("UPDATE audit_auditseal SET hash = %s WHERE sequence = 2", [forged])
    assert [(p.kind, p.sequence) for p in chain.verify().problems] == [("broken", 3)]


def test_an_end_that_was_cut_off_is_found_by_an_anchor(tamper: psycopg.Connection[Any]) -> None:
    write_events(4)
    chain.seal_pending()
    noted, _ = run_verify()
    assert run_verify("--anchor", noted["anchor"])[1] is False
    tamper.execute("DELETE FROM audit_auditseal WHERE sequence > 2")
    tamper.execute("DELETE FROM audit_auditevent WHERE id NOT IN (SELECT event_id FROM audit_auditseal)")
    answer, failed = run_verify("--anchor", noted["anchor"])
    assert failed
    assert [p["kind"] for p in answer["problems"]] == ["anchor"]


def test_an_event_left_unsealed_is_named_and_sealed_at_the_next_start() -> None:
    write_events(1)
    chain.seal_pending()
    late = AuditEvent.objects.create(
        actor_label="system:test", action="study.view", at=timezone.now() - timedelta(hours=2)
    )
    assert chain.seal_pending() == 0  # outside the window of the quick scan
    assert [(p.kind, p.event_id) for p in chain.verify().problems] == [("unsealed", late.pk)]
    chain._last_full_scan = None
    assert chain.seal_pending() == 1
    assert chain.verify().intact


def test_the_hourly_scan_begins_where_the_one_before_found_all_sealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = timezone.now() - timedelta(hours=2)
    first = AuditEvent.objects.create(actor_label="system:test", action="study.view", at=old)
    assert chain.seal_pending() == 1 and chain._sealed_up_to == first.pk
    later = AuditEvent.objects.create(actor_label="system:test", action="study.view", at=old)
    monkeypatch.setattr(chain, "_last_full_scan", chain.time.monotonic() - chain._FULL_SCAN_EVERY_S - 1)
    assert chain.seal_pending() == 1 and later.seal.sequence == first.seal.sequence + 1
    assert chain.verify().intact


def test_the_actions_of_the_log_are_each_named_once() -> None:
    for action in ("study.view", "report.sign", "study.view", "audit.view"):
        AuditEvent.objects.create(actor_label="system:test", action=action)
    assert actions() == ["audit.view", "report.sign", "study.view"]


def test_only_one_sealer_works_at_a_time(superuser_url: str) -> None:
    write_events(1)
    with psycopg.connect(superuser_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [chain._SEALER_LOCK])
        assert chain.seal_pending() == 0
    assert chain.seal_pending() == 1


@pytest.mark.parametrize("table", ["audit_auditevent", "audit_auditseal"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET {} = {}",
        "DELETE FROM {}",
        "TRUNCATE {} CASCADE",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "DROP TABLE {} CASCADE",
    ],
)
def test_the_application_cannot_alter_the_log_by_sql(table: str, statement: str) -> None:
    write_events(1)
    chain.seal_pending()
    column = "outcome" if table == "audit_auditevent" else "hash"
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table, column, column))
    assert chain.verify().events == 1


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_auditevent SET outcome = 'x'", "DELETE FROM audit_auditevent"]
)
def test_not_even_the_owner_alters_the_log_in_passing(owner_url: str, statement: str) -> None:
    write_events(1)
    with psycopg.connect(owner_url) as owner, pytest.raises(psycopg.DatabaseError, match="Cannot"):
        # pgtrigger's own way around its triggers is closed (operations.grants).
        owner.execute("SELECT set_config('pgtrigger.ignore', array_agg(tgname)::text, false) FROM pg_trigger")
        owner.execute(statement)
