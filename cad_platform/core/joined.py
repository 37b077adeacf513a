"""A row of joined tables in one statement that is composed once: for what every request asks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import Model


class Joined:
    """A row of joined tables, as one object of each: for a question that every request asks, which Django would compose
    anew each time."""

    def __init__(self, models: Sequence[type[Model]], source: str) -> None:
        """`source`: what stands after FROM, with a place for each parameter."""
        self._models, self._source = models, source

    @cached_property
    def _columns(self) -> list[list[Any]]:
        return [list(model._meta.concrete_fields) for model in self._models]

    @cached_property
    def _statement(self) -> str:
        quote = connection.ops.quote_name
        names = [
            f"{quote(model._meta.db_table)}.{quote(field.column)}"
            for model, fields in zip(self._models, self._columns, strict=True)
            for field in fields
        ]
        return f"SELECT {', '.join(names)} FROM {self._source} LIMIT 1"  # noqa: S608  (names of ours)

    def first(self, parameters: Sequence[Any]) -> list[Any] | None:
        """An object of each model, None for one that has no row; None where nothing is found."""
        with connection.cursor() as cursor:
            cursor.execute(self._statement, parameters)
            row = cursor.fetchone()
        if row is None:
            return None
        values = iter(row)
        return [
            self._object(model, fields, list(islice(values, len(fields))))
            for model, fields in zip(self._models, self._columns, strict=True)
        ]

    @staticmethod
    def _object(model: type[Model], fields: Sequence[Any], values: list[Any]) -> Model | None:
        found = {
            field.attname: field.from_db_value(value, None, connection)
            if hasattr(field, "from_db_value")
            else value
            for field, value in zip(fields, values, strict=True)
        }
        assert model._meta.pk is not None
        if found[model._meta.pk.attname] is None:
            return None
        return model.from_db(connection.alias, list(found), list(found.values()))
