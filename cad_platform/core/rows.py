"""New rows of several tables that go to the database together.

A new study is seven rows of six tables. Each inserted by itself costs a statement that Django composes, sends and
waits for, which takes more than the row does in the database; together they are one message and one wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import groupby
from typing import Any

from django.db import connection
from django.db.models import AutoField, Model

_waiting: ContextVar[list[Model] | None] = ContextVar("waiting", default=None)


def insert(row: Model) -> None:
    """Insert a new row: now, or with the others where a block of `together` is open. A row that waits has no number
    from the database yet; `next_key` gives one to whoever is referred to by others.

    Raises
    ------
    TypeError
        The model has a `save` of its own, which would be passed by.
    """
    if type(row).save is not Model.save:
        raise TypeError(f"{type(row).__name__} has a save of its own")
    waiting = _waiting.get()
    if waiting is None:
        row.save(force_insert=True)
    else:
        waiting.append(row)


@contextmanager
def together() -> Iterator[None]:
    """What is inserted in the block goes to the database as it ends, in its order; nothing does after an exception. For
    use inside a transaction: foreign keys are looked at when it commits."""
    if not connection.in_atomic_block:
        raise RuntimeError("rows go together inside a transaction only")
    rows: list[Model] = []
    token = _waiting.set(rows)
    try:
        yield
    finally:
        _waiting.reset(token)
    _insert_all(rows)


def next_key(model: type[Model]) -> int:
    """A number for a new row of a table that numbers its rows, which nobody else gets."""
    table, column = model._meta.db_table, model._meta.pk.column  # type: ignore[union-attr]
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, %s))", [f'"{table}"', column])
        return int(cursor.fetchone()[0])


def _insert_all(rows: Iterable[Model]) -> None:
    statements: list[str] = []
    values: list[Any] = []
    for (model, has_key), group in groupby(rows, key=lambda row: (type(row), row.pk is not None)):
        fields, head, places = _statement(model, has_key)
        several = list(group)
        statements.append(head + ", ".join([places] * len(several)))
        for row in several:
            for field in fields:
                values.append(field.get_db_prep_save(field.pre_save(row, True), connection))
            row._state.adding, row._state.db = False, connection.alias
    if statements:
        with connection.cursor() as cursor:
            cursor.execute("; ".join(statements), values)


@cache
def _statement(model: type[Model], has_key: bool) -> tuple[list[Any], str, str]:
    """The columns' fields, and the two parts of the statement: all that Django knows of an insertion beforehand."""
    fields: list[Any] = [
        field for field in model._meta.concrete_fields if has_key or not isinstance(field, AutoField)
    ]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in fields)
    places = "(" + ", ".join(["%s"] * len(fields)) + ")"
    return fields, f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ", places  # noqa: S608  (names of ours)
