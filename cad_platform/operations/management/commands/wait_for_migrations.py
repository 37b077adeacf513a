"""`manage.py wait_for_migrations`: until the database has this release's schema, or 1."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import Error

PAUSE_SECONDS = 2.0


def unapplied() -> list[str] | None:
    """Migrations of this release that the database has not; none where the database does not answer."""
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        return None
    finally:
        connection.close()
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


class Command(BaseCommand):
    help = "Waits until the migrations of this release have run; what they need is run by its own job."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, default=600)

    def handle(self, *args: Any, **options: Any) -> None:
        deadline = time.monotonic() + options["seconds"]
        while (missing := unapplied()) != []:
            if time.monotonic() >= deadline:
                what = (
                    "the database does not answer"
                    if missing is None
                    else f"not applied: {', '.join(missing)}"
                )
                raise CommandError(f"After {options['seconds']:g} s: {what}.")
            time.sleep(min(PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))
        self.stdout.write("The database has the schema of this release.")
