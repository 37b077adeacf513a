"""Proofs by traffic: a component is healthy while it has lately done real work.

Whoever works writes the proof, on every floor: a job that a model analysed, a task that the worker finished, a
probe that was answered. Who is proven in rounds, and what readiness makes of it, is in `operations`.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from cad_platform.core.models import ComponentProbe
from cad_platform.core.queues import MAINTENANCE, SHORT, SLIDE

#: The component that every task of the queue `short` proves; the other queues' workers have theirs (`worker_of`).
WORKER = "worker"
#: An answer older than this counts as failed.
FRESH_FOR = timedelta(seconds=30)
#: The same for what stands by: two rounds may fail to come.
STANDBY_FRESH_FOR = timedelta(seconds=180)
#: A single probe may take so many seconds.
PROBE_TIMEOUT = 8.0
#: Traffic is noted at most so often, so that proof costs nothing.
_NOTE_EVERY_S = 3.0

#: What a check returns whose time says nothing of how long work takes.
UNMEASURED = object()

_noted: dict[str, float] = {}
_noting = threading.Lock()


class ProbeFailed(Exception):
    """The sentence says what did not work; `code` in a word, where somebody tells kinds of failure apart."""

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


def worker_of(queue: str) -> str:
    """The component that stands for the workers of a queue."""
    return WORKER if queue == SHORT else f"{WORKER}:{queue}"


#: The components that stand for workers, of every queue.
WORKERS = tuple(worker_of(queue) for queue in (SHORT, SLIDE, MAINTENANCE))


def succeeded(component: str, latency_ms: float | None = None, **values: Any) -> None:
    """Record that a component has just done real work.

    Parameters
    ----------
    component
        Its name, such as `worker` or `model:ultrasound/2.3.0`.
    latency_ms
        How long it took, in milliseconds; the earlier figure stays where none is given.
    values
        Further columns of `ComponentProbe`.
    """
    measured = {} if latency_ms is None else {"latency_ms": latency_ms}
    _record(component, succeeded_at=timezone.now(), reason="", code="", **measured, **values)


def failed(component: str, reason: str, code: str = "", **values: Any) -> None:
    """Record how a component has just failed. `reason` names no patient."""
    _record(component, failed_at=timezone.now(), reason=reason[:500], code=code, **values)


def note_traffic(component: str) -> None:
    """As `succeeded`, but for work that happens often: writes every few seconds only."""
    now = time.monotonic()
    with _noting:
        if now - _noted.get(component, -_NOTE_EVERY_S) < _NOTE_EVERY_S:
            return
        _noted[component] = now
    succeeded(component)


def proven_since(component: str, moment: datetime) -> bool:
    """Whether the latest proof is younger than `moment` and than the latest failure."""
    probe = ComponentProbe.objects.filter(pk=component).first()
    if probe is None or probe.succeeded_at is None or probe.succeeded_at <= moment:
        return False
    return probe.failed_at is None or probe.failed_at < probe.succeeded_at


def _record(component: str, **values: Any) -> None:
    ComponentProbe.objects.bulk_create(
        [ComponentProbe(component=component, **values)],
        update_conflicts=True,
        unique_fields=["component"],
        update_fields=[*values],
    )
