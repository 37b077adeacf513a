"""What the SQL of a data migration does, tried on rows that a test made."""

from __future__ import annotations

from importlib import import_module

from django.db.migrations import RunSQL


def sql_of(app: str, name: str) -> str:
    """The statements of the migration's `RunSQL` operations."""
    migration = import_module(f"cad_platform.{app}.migrations.{name}").Migration
    return "\n".join(step.sql for step in migration.operations if isinstance(step, RunSQL))
