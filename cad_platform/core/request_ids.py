"""The id of the request that led to what a process does now: in its log lines, in the rows that it leaves for other
processes, and as the name of its trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

#: Of a request, an audit event, an outbox event, a job.
LONGEST = 64


def current() -> str:
    """Empty where no request led here."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


@contextmanager
def bound(request_id: str) -> Iterator[None]:
    """What happens inside was led to by `request_id`; by none where it is empty."""
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        if not request_id:
            structlog.contextvars.unbind_contextvars("request_id")
        yield
