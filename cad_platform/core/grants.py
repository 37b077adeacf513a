"""The rights of the application's database role. It owns no table, may truncate none, and deletes only where
deleting is ordinary; the rest is kept by the database itself, whatever the code above it does."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections
from psycopg import sql

#: The only tables that the application may delete from.
DELETABLE = frozenset(
    {
        "django_session",
        "core_outboxevent",
        "core_componentprobe",
        "api_idempotentanswer",
        "reporting_draftpresence",
        "reporting_report",  # drafts; a trigger keeps what is signed
        "studies_storedfile",  # the collector; referenced files are kept by their foreign keys
    }
)

#: Written once: neither updated nor deleted by the application. History tables join them.
APPEND_ONLY = frozenset(
    {
        "audit_auditevent",
        "audit_auditseal",
        "reading_findingdecision",
        "analysis_finding",
        "reporting_signature",
        "django_migrations",
    }
)


def history_tables() -> set[str]:
    """The event tables of pghistory."""
    import pghistory.models

    return {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if issubclass(model, pghistory.models.Event)
    }


def make_triggers_unavoidable(cursor: Any) -> None:
    """Take away pgtrigger's way around its triggers. As installed, any session skips them all with
    `SET pgtrigger.ignore`: a signed report could be changed and history go unwritten."""
    cursor.execute(
        "CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name NAME) RETURNS BOOLEAN "
        "AS $$ BEGIN RETURN FALSE; END; $$ LANGUAGE plpgsql"
    )


def grant_application_role(using: str = "default", **_: Any) -> None:
    """Grant after `migrate`, which runs as the owner. Does nothing where one role does everything, which
    `manage.py check --deploy` warns about."""
    role, connection = settings.DATABASE_APP_ROLE, connections[using]
    with connection.cursor() as cursor:
        make_triggers_unavoidable(cursor)
        cursor.execute("SELECT current_user")
        if cursor.fetchone()[0] == role:
            return
        cursor.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname = current_schema()")
        tables = cursor.fetchall()
        append_only = APPEND_ONLY | history_tables()
        for schema, table in tables:
            rights = ["SELECT", "INSERT"]
            if table not in append_only:
                rights.append("UPDATE")
            if table in DELETABLE:
                rights.append("DELETE")
            target, who = sql.Identifier(schema, table), sql.Identifier(role)
            cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(target, who))
            cursor.execute(
                sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(", ").join(map(sql.SQL, rights)), target, who)
            )
        cursor.execute(
            sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(
                sql.Identifier(role)
            )
        )
        cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(role)))
