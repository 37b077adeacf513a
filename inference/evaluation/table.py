"""A hospital's table as spreadsheets write it: UTF-8 with or without a byte order mark; commas, semicolons or tabs;
blank lines; a heading in any capitals. What its columns mean, the caller says."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence


class TableError(ValueError):
    """The table cannot be read; `mistakes` are sentences, each with its line."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


def decoded(content: bytes) -> str:
    """The text of a table's file. Raises `TableError` where it is not UTF-8, as GBK or UTF-16: nothing is guessed."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TableError([f"line {line}: not UTF-8; save the table as CSV UTF-8"]) from None


def rows_of(text: str, *needed: str) -> list[tuple[int, Mapping[str, str]]]:
    """The rows that are not blank, each with its line: values by column, without spaces around them; columns in small
    letters.

    Parameters
    ----------
    needed
        Columns that have to be there.

    Raises
    ------
    TableError
        A heading or a row that is not as it should be: all headings' mistakes, then all rows'.
    """
    text = text.removeprefix("\ufeff")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        rows = [(reader.line_num, [value.strip() for value in row]) for row in reader]
    except csv.Error as error:
        raise TableError([f"line {reader.line_num}: {error}"]) from None
    if wrong := _heading(names, needed):
        raise TableError(wrong)
    rows = [(line, row) for line, row in rows if any(row)]
    if wrong := [
        f"line {line}: {len(row)} values under {len(names)} columns"
        for line, row in rows
        if len(row) != len(names)
    ]:
        raise TableError(wrong)
    return [(line, dict(zip(names, row, strict=True))) for line, row in rows]


def _heading(names: Sequence[str], needed: Sequence[str]) -> list[str]:
    mistakes = [f"line 1: no column {wanted}" for wanted in needed if wanted not in names]
    mistakes += [f"line 1: column {place} has no name" for place, name in enumerate(names, 1) if not name]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    return mistakes + [f"line 1: column {name} stands there twice" for name in twice]
