"""Tables and other small text files of data sets: what cannot be read is noted with its line, never a crash."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from inference.datasets.notes import Notes


def text_of(path: Path, notes: Notes) -> str | None:
    """The text of a small file as UTF-8, else Latin-1; None, and noted, where it cannot be opened or holds
    zero bytes (a picture under the wrong name, a file of a broken disk)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        notes.unreadable(path, error.strerror or error)
        return None
    if b"\x00" in content:
        notes.unreadable(path, "not a text file")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def table_rows(
    path: Path, columns: Sequence[str], notes: Notes, *, delimiter: str = ","
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table with a heading, each with its line number, stripped; rows that lack one of
    `columns`, and a table whose heading lacks one, are noted as unreadable and left out. Blank lines are
    skipped."""
    text = text_of(path, notes)
    if text is None:
        return []
    found: list[tuple[int, dict[str, str]]] = []
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    if text.count('"') % 2:
        notes.unreadable(path, "a quotation mark is never closed: what follows it is lost")
    try:
        heading = {(name or "").strip() for name in reader.fieldnames or ()}
        absent = [name for name in columns if name not in heading]
        if absent:
            notes.unreadable(path, f"no column {absent[0]}")
            return []
        for raw in reader:
            row = {
                key.strip(): (value or "").strip()
                for key, value in raw.items()
                if isinstance(key, str) and (value is None or isinstance(value, str))
            }
            if not any(row.values()):
                continue
            empty = [name for name in columns if not row.get(name)]
            if empty:
                notes.unreadable(path, f"line {reader.line_num} has no {empty[0]}")
            else:
                found.append((reader.line_num, row))
    except csv.Error as error:
        notes.unreadable(path, f"line {reader.line_num}: {error}")
    return found


def by_key(
    rows: Sequence[tuple[int, dict[str, str]]], key: str, path: Path, notes: Notes
) -> dict[str, dict[str, str]]:
    """The rows by their `key`; a key that is listed twice with different content is noted as a conflict, and
    its first row counts."""
    found: dict[str, dict[str, str]] = {}
    for line, row in rows:
        first = found.setdefault(row[key], row)
        if first != row:
            differing = next(name for name in row if row[name] != first.get(name))
            notes.conflict(
                path,
                f"{path.name}: {row[key]} is listed again in line {line} with another {differing}"
                f" ({first.get(differing, '')} and {row[differing]})",
            )
    return found
