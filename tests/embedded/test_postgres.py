"""The embedded PostgreSQL keeps the application's role small."""

import psycopg
import pytest

from embedded.postgres import APPLICATION, OWNER, Postgres


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
