"""Log lines as JSON, one an event, with the request's id and without patient data."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import structlog


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
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)
