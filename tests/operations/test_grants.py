"""What the database lets the application's role do is what each app declares, and every table is declared."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection

from cad_platform.core.declarations import DatabaseRights, rights_by_table, undeclared_tables
from cad_platform.operations.grants import check_declarations
from cad_platform.reading.models import FindingDecision
from embedded.state import REPOSITORY

ALL = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
DELETABLE = {
    "accounts_sessionactivity",
    "accounts_signincount",
    "api_idempotentanswer",
    "core_componentprobe",
    "core_donerequest",
    "core_outboxevent",
    "django_session",
    "modelserver_hostedversion",
    "modelserver_modelhost",
    "quality_analysisfact",
    "reading_worklistai",
    "reading_worklistchange",
    "registry_modelroute",
    "reading_worklistentry",
    "reading_worklistsearch",
    "reporting_draftpresence",
    "reporting_report",
    "studies_storedfile",
}
#: History tables join them.
APPEND_ONLY = {
    "accounts_rolechange",
    "analysis_knowntruth",
    "registry_approval",
    "registry_comparison",
    "analysis_finding",
    "audit_auditevent",
    "audit_auditroot",
    "audit_auditseal",
    "delivery_deliveryattempt",
    "django_migrations",
    "learning_consent",
    "learning_datasetitem",
    "learning_datasetversion",
    "quality_acceptancecase",
    "quality_devicetest",
    "quality_knowncaseanswer",
    "quality_readerstudy",
    "reading_findingdecision",
    "reading_worklistrouting",
    "reporting_signature",
    "studies_sideconfirmation",
    "studies_studycorrection",
}


def granted(*, parts: bool = False) -> dict[str, tuple[str, ...]]:
    """Table → what the role may do with it, as PostgreSQL answers; or the same of the parts of tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, array(SELECT right_ FROM unnest(%s::text[]) AS right_"
            " WHERE has_table_privilege(%s, oid, right_))"
            " FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND relispartition = %s",
            [list(ALL), settings.DATABASE_APP_ROLE, parts],
        )
        return {table: tuple(rights) for table, rights in cursor.fetchall()}


@pytest.mark.django_db
def test_the_database_grants_what_is_declared_and_nothing_else() -> None:
    assert granted() == {table: rights.value for table, rights in rights_by_table().items()}


@pytest.mark.django_db
def test_a_part_of_a_table_is_only_read_by_its_own_name() -> None:
    found = granted(parts=True)
    assert len(found) >= 5 and set(found.values()) == {("SELECT",)}, found


def test_few_tables_lose_rows_and_what_was_said_once_stays() -> None:
    declared = rights_by_table()
    assert {table for table, rights in declared.items() if rights is DatabaseRights.DELETABLE} == DELETABLE
    written_once = {table for table, rights in declared.items() if rights is DatabaseRights.APPEND_ONLY}
    history = {table for table in written_once if table.endswith("event")} - {"audit_auditevent"}
    assert written_once - history == APPEND_ONLY
    assert {"reporting_reportevent", "studies_studyevent", "accounts_userevent"} <= history


def test_a_table_that_declares_nothing_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    assert undeclared_tables() == [] == check_declarations()
    monkeypatch.delattr(FindingDecision, "database_rights")
    assert undeclared_tables() == ["reading_findingdecision"]
    with pytest.raises(SystemCheckError, match="the table reading_findingdecision"):
        call_command("check")


@pytest.mark.django_db(transaction=True)
def test_a_table_left_behind_is_out_of_reach(owner_url: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("CREATE TABLE left_behind (name text)")
        owner.execute(f"GRANT SELECT, INSERT ON left_behind TO {settings.DATABASE_APP_ROLE}")
        try:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "manage.py", "migrate", "--verbosity", "0"],
                cwd=REPOSITORY,
                env=os.environ | {"PYTHONWARNINGS": "ignore"},
                check=False,
            )
            assert done.returncode == 0
            assert granted()["left_behind"] == ()
        finally:
            owner.execute("DROP TABLE left_behind")
