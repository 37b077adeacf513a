"""A filled log is put into months and taken back while others write: nothing is lost, nobody's work is broken off, and
the chain holds."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from cad_platform.audit import chain, months
from cad_platform.audit.models import AuditEvent, AuditSeal
from embedded.state import REPOSITORY
from tests import factories
from tests.audit.test_chain import fresh_sealer, run_verify, tamper, write_events
from tests.audit.test_months import owner, where

__all__ = ["fresh_sealer", "owner", "tamper"]

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500), pytest.mark.django_db(transaction=True)]
ONE_TABLE, IN_MONTHS = "0003_closed_months", "0006_links_checked"
_WRITE = (
    "INSERT INTO audit_auditevent (at, actor_label, action, object_type, object_id, outcome, request_id, detail) "
    "VALUES (now(), 'system:test', 'study.view', 'study', '1', 'success', '', '{}') RETURNING id"
)


def migrate(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", "migrate", "audit", name, "--verbosity", "0"],
        cwd=REPOSITORY,
        env=os.environ | {"DATABASE_URL": os.environ["CAD_DATABASE_OWNER_URL"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Writers:
    """The application's connections: they write events, some after looking at people and sites or before it, one
    changes a person after the event, in another order than most do."""

    def __init__(self, person: int) -> None:
        self.written: list[int] = []
        self.broken: list[str] = []
        self._stop = threading.Event()
        change = f"UPDATE accounts_user SET first_name = first_name WHERE id = {person}"
        read = "SELECT count(*) FROM accounts_user LEFT JOIN accounts_site ON true"
        works = ([_WRITE], [read, _WRITE], [_WRITE, change], [_WRITE, read])
        self._threads = [threading.Thread(target=self._repeat, args=(statements,)) for statements in works]

    def _repeat(self, statements: list[str]) -> None:
        try:
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as session:
                while not self._stop.is_set():
                    with session.transaction():
                        done = {statement: session.execute(statement) for statement in statements}
                    row = done[_WRITE].fetchone()
                    assert row is not None
                    self.written.append(int(row[0]))
                    self._stop.wait(0.01)
        except Exception as error:
            self.broken.append(repr(error))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._stop.clear()
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(60)


@pytest.fixture
def afterwards(tamper: psycopg.Connection[Any]) -> Iterator[None]:
    """The other tests' database: an empty log, in months from the first."""
    yield
    for table in ("audit_auditroot", "audit_auditseal", "audit_auditevent"):
        tamper.execute(f"DELETE FROM {table}")
    migrate(ONE_TABLE)
    migrate(IN_MONTHS)


def test_a_filled_log_goes_into_months_and_back_under_load(
    afterwards: None, owner: psycopg.Connection[Any], tamper: psycopg.Connection[Any]
) -> None:
    person, written = factories.user("administrator").pk, []
    migrate(ONE_TABLE)
    tamper.execute("DELETE FROM audit_auditseal")
    tamper.execute("DELETE FROM audit_auditevent")
    tamper.execute("SELECT setval(pg_get_serial_sequence('audit_auditevent', 'id'), 1, false)")
    old = [event.pk for event in write_events(3000)]
    assert max(old) < months.OF_A_MONTH and chain.seal_pending() == 3000
    written += old
    for name in (IN_MONTHS, ONE_TABLE, IN_MONTHS):
        writers = Writers(person)
        with writers.at_work():
            migrate(name)
        assert writers.broken == [] and len(writers.written) > 20
        written += writers.written
        chain._last_full_scan = None
        chain.seal_pending()
        assert len(set(written)) == len(written) == AuditEvent.objects.count() == AuditSeal.objects.count()
        assert not run_verify("--full")[1]
        if name == IN_MONTHS:
            assert sum(where(owner).values()) == len(written) and "audit_auditevent_default" not in where(
                owner
            )
    # Put in again, the first part keeps the month that it holds already.
    assert set(where(owner)) == {"audit_auditevent_before"}
