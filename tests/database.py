"""pytest-django on the private PostgreSQL: migrated as the owner, tested as the application's role.

The application may not TRUNCATE and triggers protect signed and audited rows, so tests that commit are
cleaned up by the superuser with the triggers off; what the migrations put in is put back.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from embedded.postgres import SUPERUSER, Postgres
from embedded.state import REPOSITORY

#: What the migrations made of an empty database, by the digest of what decides that.
DUMPS = REPOSITORY / ".local-setup" / "migrated"
#: Copies of what the migrations wrote.
PRISTINE = "pristine"


@pytest.fixture(scope="session")
def django_db_setup(postgres_server: Postgres) -> Iterator[None]:
    """Migrate, remember the rows that migrations made, and teach Django's test cases to clean up.

    A kept database that the same migrations made is only brought back to what they left, and a new one is read from
    what an earlier run has kept of them.
    """
    administrator = postgres_server.url(SUPERUSER)
    migrated, digest = postgres_server.state.path / "migrated", _schema_digest()
    dump = DUMPS / f"{digest}.dump"
    if migrated.exists() and migrated.read_text() == digest:
        restore_database(administrator)
    else:
        migrated.unlink(missing_ok=True)
        postgres_server.recreate()
        if dump.exists():
            _client(postgres_server, "pg_restore", "--exit-on-error", "--dbname", administrator, str(dump))
        else:
            _migrate(postgres_server)
            _keep(postgres_server, dump)
        migrated.write_text(digest)

    from django.db import connections
    from django.test import TransactionTestCase

    def clean(self: Any) -> None:
        restore_database(administrator)

    original = TransactionTestCase._fixture_teardown
    TransactionTestCase._fixture_teardown = clean
    yield
    TransactionTestCase._fixture_teardown = original
    connections.close_all()


def _migrate(postgres: Postgres) -> None:
    """An empty database, migrated."""
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.exit(f"The database could not be migrated:\n{done.stdout}{done.stderr}", returncode=1)
    _remember(postgres.url(SUPERUSER))


def _keep(postgres: Postgres, dump: Path) -> None:
    """Of the same migrations the next run, or the other lane of this one, need not make the same tables again."""
    DUMPS.mkdir(parents=True, exist_ok=True)
    unfinished = DUMPS / f".{os.getpid()}"
    _client(postgres, "pg_dump", "--format=custom", "--file", str(unfinished), postgres.url(SUPERUSER))
    for older in DUMPS.glob("*.dump"):
        older.unlink(missing_ok=True)
    unfinished.replace(dump)


def _client(postgres: Postgres, program: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(postgres.programs / "pginstall" / "bin" / program), *arguments],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.exit(f"{program} of the tests' database: {done.stderr}", returncode=1)


def _schema_digest() -> str:
    """Of everything that decides what `migrate` makes: migrations, models (their triggers and grants), libraries."""
    platform = REPOSITORY / "cad_platform"
    sources = [
        *platform.rglob("migrations/*.py"),
        *platform.rglob("models.py"),
        *platform.rglob("models/*.py"),
        *platform.rglob("apps.py"),
        *(path for path in platform.rglob("*.py") if {"grants", "triggers"} & {path.stem, path.parent.name}),
        REPOSITORY / "requirements.lock",
    ]
    digest = hashlib.sha256()
    for path in sorted(set(sources)):
        digest.update(f"\0{path.relative_to(REPOSITORY)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="session")
def owner_url(django_db_setup: None) -> str:
    """The address as the owner of the tables, for tests about what even SQL may not do."""
    return os.environ["CAD_DATABASE_OWNER_URL"]


@pytest.fixture(scope="session")
def superuser_url(django_db_setup: None, postgres_server: Postgres) -> str:
    """The address as PostgreSQL's superuser, who alone can tamper with protected rows."""
    return postgres_server.url(SUPERUSER)


def restore_database(administrator: str) -> None:
    """Bring the database back to what the migrations left."""
    with psycopg.connect(administrator) as connection:
        connection.execute("SET session_replication_role = replica")
        kept = set(_tables(connection, PRISTINE))
        for table in _tables(connection, "public"):
            if table == "django_migrations":
                continue
            connection.execute(sql.SQL("DELETE FROM public.{}").format(sql.Identifier(table)))
            if table in kept:
                connection.execute(
                    sql.SQL("INSERT INTO public.{0} SELECT * FROM {1}.{0}").format(
                        sql.Identifier(table), sql.Identifier(PRISTINE)
                    )
                )


def _remember(administrator: str) -> None:
    with psycopg.connect(administrator) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(PRISTINE)))
        for table in _tables(connection, "public"):
            name = sql.Identifier(table)
            if connection.execute(sql.SQL("SELECT 1 FROM public.{} LIMIT 1").format(name)).fetchone():
                connection.execute(
                    sql.SQL("CREATE TABLE {1}.{0} AS TABLE public.{0}").format(name, sql.Identifier(PRISTINE))
                )


def _tables(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """Those of a schema; a table's parts are not named beside it."""
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace "
        "AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    return [row[0] for row in connection.execute(query, [schema]).fetchall()]
