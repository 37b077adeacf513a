"""The rights of the application's database role. It owns no table, may truncate none, and deletes only where
deleting is ordinary; the rest is kept by the database itself, whatever the code above it does.

What it may do with a table is declared beside the model, or by the app that brings in a table of others
(`core.declarations`); here it is granted.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connections, transaction
from psycopg import sql

from cad_platform.core.declarations import rights_by_table, undeclared_tables


def check_declarations(**_: Any) -> list[checks.CheckMessage]:
    """A system check: every table has its rights declared."""
    return [
        checks.Error(
            f"Nothing says what the application's role may do with the table {table}.",
            hint="Give its model `database_rights`, or name the table in `tables_of_others` of the AppConfig "
            "that brings it in.",
            id="operations.E001",
        )
        for table in undeclared_tables()
    ]


def make_triggers_unavoidable(cursor: Any) -> None:
    """Take away pgtrigger's way around its triggers. As installed, any session skips them all with
    `SET pgtrigger.ignore`: a signed report could be changed and history go unwritten.

    One way is left, for the tables' owner alone: inside `records_erase`, of a request that two people decided."""
    cursor.execute(
        "CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name NAME) RETURNS BOOLEAN "
        "AS $$ BEGIN RETURN CASE WHEN COALESCE(current_setting('cad.erasing', true), '') = '' THEN FALSE "
        "ELSE public.records_is_erasing() END; END; $$ LANGUAGE plpgsql"
    )


def grant_application_role(using: str = "default", **_: Any) -> None:
    """Grant after `migrate`, which runs as the owner. Does nothing where one role does everything, which
    `manage.py check --deploy` warns about. A table that nothing declares, such as one that an older release left
    behind, is out of the application's reach."""
    role, connection = settings.DATABASE_APP_ROLE, connections[using]
    # All at once: the release before works on meanwhile, and must not find a right taken that is about to be given.
    with transaction.atomic(using=using), connection.cursor() as cursor:
        make_triggers_unavoidable(cursor)
        cursor.execute("SELECT current_user")
        if cursor.fetchone()[0] == role:
            return
        # A part of a table (`audit.months`) is read by its own name by pg_dump, and written by nobody.
        cursor.execute(
            "SELECT c.relname, whole.relname FROM pg_class c LEFT JOIN pg_class whole ON c.relispartition "
            "AND whole.oid = pg_partition_root(c.oid) WHERE c.relnamespace = 'public'::regnamespace "
            "AND c.relkind IN ('r', 'p')"
        )
        tables, declared = cursor.fetchall(), rights_by_table()
        for table, whole in tables:
            target, who = sql.Identifier("public", table), sql.Identifier(role)
            cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(target, who))
            if (whole or table) not in declared:
                continue
            rights = sql.SQL("SELECT" if whole else ", ".join(declared[table].value))
            cursor.execute(sql.SQL("GRANT {} ON {} TO {}").format(rights, target, who))
        cursor.execute(
            sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(
                sql.Identifier(role)
            )
        )
        cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(role)))
