"""Looking for a part of a text by index (ADR 56).

`cad_parts(text)` are all pieces of one, two and three characters, `cad_parts_sought(text)` those that a text has which
contains this one. An inverted index over the first finds rows for the second, in every script and for a single
character too; the text itself is then looked through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import connection, transaction
from django.db.models import CharField, Func, Lookup, TextField

#: For a migration. The bodies are bound when they are made, so that no `search_path` leads them elsewhere; the cost
#: keeps the planner from working the pieces out row by row where an index has them.
CREATE_FUNCTIONS = """
CREATE FUNCTION public.cad_parts(value text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
BEGIN ATOMIC
    SELECT coalesce(array_agg(DISTINCT substr(value, start, size) COLLATE "C"), '{}')
    FROM generate_series(1, 3) AS size, generate_series(1, length(value) - size + 1) AS start;
END;
CREATE FUNCTION public.cad_parts_sought(value text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN length(value) < 3 THEN array_remove(ARRAY[value], '')
        ELSE (SELECT array_agg(substr(value, start, 3)) FROM generate_series(1, length(value) - 2) AS start)
    END;
END;
"""
DROP_FUNCTIONS = "DROP FUNCTION public.cad_parts(text); DROP FUNCTION public.cad_parts_sought(text);"


class Parts(Func):
    """The pieces of a text, for an index."""

    function = "public.cad_parts"
    output_field = ArrayField(TextField())


def parts_index(column: str, name: str) -> GinIndex:
    """What `column__part` finds rows by. New rows wait in a list that every search reads: a short one."""
    return GinIndex(Parts(column), name=name, gin_pending_list_limit=256)


@contextmanager
def by_index() -> Iterator[None]:
    """Queries inside look nothing through row by row where there is an index: the planner does not know that words of
    one name come together, and takes what is rare for frequent or the other way round."""
    settings = {"enable_seqscan": "off", "jit": "off", "work_mem": "64MB"}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(['current_setting(%s)'] * len(settings))}",
            list(settings),
        )
        before = dict(zip(settings, cursor.fetchone(), strict=True))
        _set(cursor, settings)
        yield
        _set(cursor, before)  # a transaction about this one goes on as it was


def _set(cursor: Any, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        cursor.execute("SELECT set_config(%s, %s, true)", [name, value])


class _HasPart(Lookup):
    """`name__part="sten"`: rows whose text contains this one, as `contains`, by an index over `Parts("name")`. A single
    Latin letter is nearly everywhere: it is looked for in the text alone."""

    lookup_name = "part"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        text, with_text = self.process_lhs(compiler, connection)
        sought = str(self.rhs)
        contains, pattern = f"{text} LIKE %s", f"%{connection.ops.prep_for_like_query(sought)}%"
        if sought.isascii() and len(sought) == 1:
            return contains, (*with_text, pattern)
        return (
            f"(public.cad_parts({text}) @> public.cad_parts_sought(%s::text) AND {contains})",
            (*with_text, sought, *with_text, pattern),
        )


for _field in (CharField, TextField):
    _field.register_lookup(_HasPart)
