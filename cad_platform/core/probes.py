"""Readiness by traffic: a component is healthy while it has lately done real work.

Housekeeping makes every component that the platform needs work each ten seconds (a message to the broker, a
task through the worker, a prediction by each model that analyses studies) and writes the outcome as a
`ComponentProbe`; real jobs are proof as well. `readiness` reads those rows over a connection of its own, so
that a dead database is named at once. What stands by is asked once a minute, from a loop of its own: it is
shown to administrators, and neither reddens `readiness` nor delays it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from django.db import connection, connections
from django.utils import timezone

from cad_platform.config.celery import app
from cad_platform.core.models import ComponentProbe

logger = logging.getLogger(__name__)

PROBE_SECONDS = 10.0
FAILING_SECONDS = 2.0
STANDBY_SECONDS = 60.0
#: An answer older than this counts as failed.
FRESH_FOR = timedelta(seconds=30)
#: The same for what stands by: two rounds may fail to come.
STANDBY_FRESH_FOR = timedelta(seconds=180)
#: A single probe may take so long.
PROBE_TIMEOUT = 8.0

DATABASE, BROKER, WORKER = "database", "broker", "worker"
#: Traffic is noted at most so often, so that proof costs nothing.
_NOTE_EVERY_S = 3.0

#: Raises with a sentence when the component does not work; what it returns is not looked at.
Check = Callable[[], object]
#: component → its check; asked anew each round, because models come and go.
Source = Callable[[], Mapping[str, Check]]

_sources: list[Source] = []
_standby: list[Source] = []
_noted: dict[str, float] = {}
_noting = threading.Lock()


class ProbeFailed(Exception):
    """The sentence says what did not work; `code` in a word, where somebody tells kinds of failure apart."""

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


def register(source: Source, *, standby: Source | None = None) -> None:
    """Have the components of `source` proven each round and those of `standby` once a minute. Called from an
    app's `ready()`. A component moves from one to the other as the sources say."""
    if source not in _sources:
        _sources.append(source)
    if standby is not None and standby not in _standby:
        _standby.append(standby)


def succeeded(component: str, latency_ms: float | None = None) -> None:
    """Record that a component has just done real work."""
    _record(component, **_success(latency_ms))


def failed(component: str, reason: str, code: str = "") -> None:
    """Record how a component has just failed. `reason` names no patient."""
    _record(component, **_failure(reason, code))


def note_traffic(component: str) -> None:
    """As `succeeded`, but for work that happens often: writes every few seconds only."""
    now = time.monotonic()
    with _noting:
        if now - _noted.get(component, -_NOTE_EVERY_S) < _NOTE_EVERY_S:
            return
        _noted[component] = now
    succeeded(component)


def proven_since(component: str, moment: Any) -> bool:
    """Whether the latest proof is younger than `moment` (a datetime) and than the latest failure."""
    probe = ComponentProbe.objects.filter(pk=component).first()
    if probe is None or probe.succeeded_at is None or probe.succeeded_at <= moment:
        return False
    return probe.failed_at is None or probe.failed_at < probe.succeeded_at


def probe_all() -> float:
    """Make every component that readiness asks for work once and record what came of it; forget components that
    no longer exist.

    Returns the seconds until the next round: fewer while something fails, so that its return is soon seen.
    """
    checks: dict[str, Check] = {BROKER: _prove_broker, **_checks_of(_sources)}
    _forget_all_but({WORKER, *checks}, standby=set(_checks_of(_standby)))
    pause = PROBE_SECONDS
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="probe") as pool:
        for component, outcome in pool.map(_run, checks.items()):
            _record(component, required=True, **outcome)
            if "failed_at" in outcome:
                pause = FAILING_SECONDS
    return pause


def probe_standby() -> None:
    """The same for the components that stand by, one after the other. How long it takes delays nobody."""
    for entry in _checks_of(_standby).items():
        component, outcome = _run(entry)
        _record(component, **outcome)


def _checks_of(sources: list[Source]) -> dict[str, Check]:
    return {component: check for source in sources for component, check in source().items()}


def _run(entry: tuple[str, Check]) -> tuple[str, dict[str, Any]]:
    """What is to be recorded of the component."""
    component, check = entry
    begun = time.perf_counter()
    try:
        check()
    except Exception as error:
        logger.warning("probe of %s failed: %s", component, type(error).__name__)
        code = error.code if isinstance(error, ProbeFailed) else ""
        return component, _failure(str(error) or type(error).__name__, code)
    finally:
        connection.close()
    return component, _success((time.perf_counter() - begun) * 1000)


def _prove_broker() -> None:
    """Publish a message; the worker's answer to it is the worker's own proof (`core.tasks.answer_probe`)."""
    try:
        app.send_task(
            "core.answer_probe", kwargs={"sent_at": time.time()}, expires=FRESH_FOR.seconds, retry=False
        )
    except Exception as error:
        raise ProbeFailed(f"the broker takes no message ({type(error).__name__})") from error


def _record(component: str, **values: Any) -> None:
    ComponentProbe.objects.bulk_create(
        [ComponentProbe(component=component, **values)],
        update_conflicts=True,
        unique_fields=["component"],
        update_fields=[*values],
    )


def _success(latency_ms: float | None) -> dict[str, Any]:
    measured = {} if latency_ms is None else {"latency_ms": latency_ms}
    return {"succeeded_at": timezone.now(), "reason": "", "code": "", **measured}


def _failure(reason: str, code: str) -> dict[str, Any]:
    return {"failed_at": timezone.now(), "reason": reason[:500], "code": code}


def _forget_all_but(required: set[str], standby: set[str]) -> None:
    ComponentProbe.objects.exclude(component__in=required | standby).delete()
    ComponentProbe.objects.filter(component__in=standby, required=True).update(required=False)


@dataclass(frozen=True)
class ComponentState:
    """`age_s`: seconds since the latest proof, or None where there was none."""

    name: str
    ok: bool
    age_s: float | None
    latency_ms: float | None
    reason: str


def readiness() -> list[ComponentState]:
    """Every component's state, the database first. Takes two seconds at most, whatever is down."""
    begun = time.perf_counter()
    try:
        rows = _read_probes()
    except (psycopg.Error, OSError) as error:
        reason = f"the database does not answer ({type(error).__name__})"
        return [ComponentState(DATABASE, False, None, None, reason)]
    milliseconds = (time.perf_counter() - begun) * 1000
    states = [ComponentState(DATABASE, True, 0.0, round(milliseconds, 1), "")]
    known = {row[0]: row for row in rows}
    if not any(name.startswith("model:") for name in known):
        states.append(ComponentState("models", False, None, None, "no model has been proven yet"))
    for name in [BROKER, WORKER, *sorted(set(known) - {BROKER, WORKER})]:
        states.append(_state(name, known.get(name)))
    return states


def _state(name: str, row: tuple[Any, ...] | None) -> ComponentState:
    if row is None or row[1] is None:
        reason = row[4] if row is not None and row[4] else "has not been proven yet"
        return ComponentState(name, False, None, None, reason)
    _, age, since_failure, latency, reason = row
    fresh = age <= FRESH_FOR.total_seconds()
    failing = since_failure is not None and since_failure < age
    latency = None if latency is None else round(latency, 1)
    if fresh and not failing:
        return ComponentState(name, True, round(age, 1), latency, "")
    if not reason:
        reason = f"the latest proof is {age:.0f} s old"
    return ComponentState(name, False, round(age, 1), latency, reason)


def _read_probes() -> list[tuple[Any, ...]]:
    """(component, age, seconds since failure, latency, reason) of what is required, by the database's own clock.

    Not through the pool: waiting for a dead pool would take longer than the answer may.
    """
    parameters = connections["default"].get_connection_params()
    parameters = {name: value for name, value in parameters.items() if name in _DIRECT}
    with psycopg.connect(**parameters, connect_timeout=2, options="-c statement_timeout=2000") as direct:
        return direct.execute(
            "SELECT component, EXTRACT(EPOCH FROM clock_timestamp() - succeeded_at)::float8,"
            " EXTRACT(EPOCH FROM clock_timestamp() - failed_at)::float8, latency_ms, reason"
            " FROM core_componentprobe WHERE required OR component = ANY(%s) ORDER BY component",
            [[BROKER, WORKER]],
        ).fetchall()


_DIRECT = frozenset(
    {"dbname", "user", "password", "host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "service"}
)
