"""Log lines as JSON, one an event, with the request's id and without patient data."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime

import django.db
import psycopg
import structlog


def _trace(error: BaseException | None) -> str:
    """The traceback with its causes. A database error's message quotes rows, so only its kind stands here."""
    links: list[str] = []
    while error is not None:
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        quotes = isinstance(error, django.db.Error | psycopg.Error)
        message = getattr(error, "sqlstate", None) or "" if quotes else str(error)
        links.append("".join(traceback.format_tb(error.__traceback__)) + f"{kind}: {message}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhich came of\n".join(links)


class JsonFormatter(logging.Formatter):
    """Message, level, logger and context; an exception's type and traceback, which hold no values."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **structlog.contextvars.get_contextvars(),
        }
        if record.exc_info:
            entry["exception"] = _trace(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=False, default=str)
