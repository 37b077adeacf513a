"""The log's months: each a table of its own, made ahead, append-only by itself, and none that loses an event."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from cad_platform.audit import chain, months, roots
from cad_platform.audit.models import AuditEvent, AuditSeal
from cad_platform.audit.selectors import AuditFilter, events
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.proofs import ProbeFailed
from tests.audit.test_chain import fresh_sealer, run_verify, tamper, write_events
from tests.audit.test_roots import later, three_months

__all__ = ["fresh_sealer", "later", "tamper", "three_months"]

pytestmark = pytest.mark.django_db(transaction=True)
FAR = datetime(2040, 5, 1, tzinfo=UTC)


@pytest.fixture
def owner(owner_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(owner_url, autocommit=True) as session:
        yield session


def part_of(month: date) -> str:
    return f"audit_auditevent_{month:%Y%m}"


def following(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def this_month() -> date:
    return timezone.now().astimezone(UTC).date().replace(day=1)


def where(owner: psycopg.Connection[Any]) -> dict[str, int]:
    """Part → its events, of those that have some."""
    found = owner.execute("SELECT tableoid::regclass::text, count(*) FROM audit_auditevent GROUP BY 1")
    return dict(found.fetchall())


def test_an_event_is_in_its_months_table_by_its_id(owner: psycopg.Connection[Any]) -> None:
    for moment in (
        timezone.now(),
        FAR,
        datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2104, 1, 1, tzinfo=UTC),
    ):
        row = owner.execute("SELECT audit_first_id(%s)", [moment]).fetchone()
        assert row == (months.first_id(moment),)
    (event,) = write_events(1)
    assert 0 < event.pk - months.first_id(timezone.now()) < months.OF_A_MONTH
    assert where(owner) == {part_of(this_month()): 1}


def test_a_month_that_is_missing_is_made_once_and_append_only(owner: psycopg.Connection[Any]) -> None:
    assert months.make_ahead() == 0
    last = this_month()
    for _ in range(months.AHEAD - 1):
        last = following(last)
    owner.execute(f"ALTER TABLE audit_auditevent DETACH PARTITION {part_of(last)}")
    owner.execute(f"DROP TABLE {part_of(last)}")
    made: list[int] = []

    def make() -> None:
        try:
            made.append(months.make_ahead())
        finally:
            connections.close_all()

    both = [threading.Thread(target=make) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(made) == [0, 1]
    AuditEvent.objects.create(
        pk=months.first_id(datetime(last.year, last.month, 9, tzinfo=UTC)) + 7,
        actor_label="x",
        action="study.view",
    )
    assert where(owner) == {part_of(last): 1}
    for statement in ("TRUNCATE {} CASCADE", "UPDATE {} SET outcome = 'x'", "DELETE FROM {}"):
        with pytest.raises(psycopg.DatabaseError, match="Cannot"):
            owner.execute(statement.format(part_of(last)))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} (id) VALUES (1)",
        "UPDATE {} SET outcome = ''",
        "DELETE FROM {}",
        "TRUNCATE {}",
    ],
)
def test_the_application_writes_no_months_table_by_its_name(statement: str) -> None:
    for part in (part_of(this_month()), "audit_auditevent_before", "audit_auditevent_default"):
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            connection.cursor().execute(statement.format(part))
    with pytest.raises(DatabaseError, match=r"permission denied|must be owner"), transaction.atomic():
        connection.cursor().execute("SELECT audit_make_month('2040-05-01')")


def test_what_comes_in_a_month_that_nobody_made_is_kept(
    owner: psycopg.Connection[Any], superuser_url: str
) -> None:
    late = AuditEvent.objects.create(pk=months.first_id(FAR) + 1, actor_label="x", action="study.view")
    assert where(owner) == {"audit_auditevent_default": 1}
    assert chain.seal_pending() == 1 and not run_verify("--full")[1]
    assert owner.execute("SELECT audit_make_month('2040-05-01')").fetchone() == (False,), (
        "its rest goes there too"
    )
    assert owner.execute("SELECT audit_make_month('2040-06-01')").fetchone() == (True,)
    next_one = AuditEvent.objects.create(
        pk=months.first_id(datetime(2040, 6, 1, tzinfo=UTC)), actor_label="x", action="study.view"
    )
    assert where(owner) == {"audit_auditevent_default": 1, "audit_auditevent_204006": 1}
    assert list(AuditEvent.objects.order_by("-pk")) == [next_one, late]
    with psycopg.connect(superuser_url, autocommit=True) as cleaning:
        cleaning.execute("SET session_replication_role = replica")
        cleaning.execute("DELETE FROM audit_auditseal")
        cleaning.execute("DELETE FROM audit_auditevent")
        cleaning.execute("ALTER TABLE audit_auditevent DETACH PARTITION audit_auditevent_204006")
        cleaning.execute("DROP TABLE audit_auditevent_204006")


def test_a_probe_tells_of_a_month_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    months.check_ahead()
    monkeypatch.setattr(months.timezone, "now", lambda: FAR)
    with pytest.raises(ProbeFailed, match="2040-06"):
        months.check_ahead()


@contextmanager
def months_end_in(owner: psycopg.Connection[Any], seconds: float) -> Iterator[None]:
    """The database's clock, as ids know it, comes to the next month after so many seconds."""
    normal = "audit_first_id(clock_timestamp()) + nextval('audit_auditevent_number')"
    end = following(this_month())
    shift = datetime(end.year, end.month, 1, tzinfo=UTC) - timezone.now() - timedelta(seconds=seconds)
    early = normal.replace("clock_timestamp()", f"clock_timestamp() + interval '{shift.total_seconds()} s'")
    owner.execute(f"ALTER TABLE ONLY audit_auditevent ALTER id SET DEFAULT {early}")
    try:
        yield
    finally:
        owner.execute(f"ALTER TABLE ONLY audit_auditevent ALTER id SET DEFAULT {normal}")


def together(*works: Callable[[], object]) -> None:
    """Each again and again for a second and a half, in a thread of its own."""
    broken: list[BaseException] = []
    until = time.monotonic() + 1.5

    def repeat(work: Callable[[], object]) -> None:
        try:
            while time.monotonic() < until:
                work()
        except BaseException as error:
            broken.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []


def test_two_who_write_across_a_months_end_lose_nothing(owner: psycopg.Connection[Any]) -> None:
    written: list[int] = []
    actor = Actor.system("test")
    with months_end_in(owner, 0.7):
        both = [lambda: written.append(record(actor, "study.view").pk) for _ in range(2)]
        together(*both, chain.seal_pending)
    chain.seal_pending()
    assert len(set(written)) == len(written) == AuditEvent.objects.count() == AuditSeal.objects.count()
    found = where(owner)
    assert set(found) == {part_of(this_month()), part_of(following(this_month()))} and min(found.values()) > 1
    assert not run_verify("--full")[1]


def test_days_are_looked_for_in_their_months_and_before_there_were_any() -> None:
    old = AuditEvent.objects.create(pk=7, actor_label="x", action="study.view")
    (new,) = write_events(1)
    today = timezone.now().date()
    assert set(events(AuditFilter(since=today, until=today))) == {old, new}
    assert not events(AuditFilter(until=today - timedelta(days=1))).exists()
    plan = events(AuditFilter(since=today - timedelta(days=40), until=today - timedelta(days=35))).explain()
    assert "audit_auditevent_before" in plan and part_of(following(following(this_month()))) not in plan, plan


def test_a_month_with_an_event_that_has_no_link_is_not_closed(three_months: list[date], later: None) -> None:
    AuditEvent.objects.create(
        pk=9, actor_label="x", action="study.view", at=timezone.now() - timedelta(days=1)
    )
    assert roots.close_months() == []
    assert [problem.kind for problem in roots.verify_open().problems] == ["unsealed"]


def test_an_event_of_a_closed_month_that_is_gone_is_found_each_day(
    three_months: list[date], later: None, tamper: psycopg.Connection[Any]
) -> None:
    roots.close_months()
    tamper.execute(
        "DELETE FROM audit_auditevent WHERE id = (SELECT event_id FROM audit_auditseal WHERE sequence = 2)"
    )
    answer, failed = run_verify()
    assert failed and [(each["kind"], each["sequence"]) for each in answer["problems"]] == [("missing", 2)]
