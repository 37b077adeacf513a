"""Whether the platform works, as an orchestrator asks: of its parts by their proofs (`/readyz`), and of the web
process by what it cannot serve without (`/readyz/web`)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import Error, connection, connections

from cad_platform.core.errors import PlatformError
from cad_platform.core.proofs import FRESH_FOR, WORKERS
from cad_platform.operations.probes import BROKER
from cad_platform.studies import storage

DATABASE = "database"
#: No file has this hash; asking for it asks the storage.
_HASH_OF_NO_FILE = "0" * 64
_DIRECT = frozenset(
    {"dbname", "user", "password", "host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "service"}
)


@dataclass(frozen=True)
class ComponentState:
    """`age_s`: seconds since the latest proof, or None where there was none. `redundant`: others do its work while it
    fails."""

    name: str
    ok: bool
    age_s: float | None
    latency_ms: float | None
    reason: str
    redundant: bool = False


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
    for name in [BROKER, *WORKERS, *sorted(set(known) - {BROKER, *WORKERS})]:
        states.append(_state(name, known.get(name)))
    return states


def missing_for_service() -> list[str]:
    """Names of what a web process needs and does not answer now, of `database` and `storage`; what is behind them
    (models, broker) keeps no reading room closed."""
    missing = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        missing.append(DATABASE)
    try:
        storage.exists(_HASH_OF_NO_FILE)
    except (PlatformError, OSError):
        missing.append("storage")
    return missing


def _state(name: str, row: tuple[Any, ...] | None) -> ComponentState:
    if row is None or row[1] is None:
        reason = row[4] if row is not None and row[4] else "has not been proven yet"
        return ComponentState(name, False, None, None, reason, row is not None and row[5])
    _, age, since_failure, latency, reason, redundant = row
    fresh = age <= FRESH_FOR.total_seconds()
    failing = since_failure is not None and since_failure < age
    latency = None if latency is None else round(latency, 1)
    if fresh and not failing:
        return ComponentState(name, True, round(age, 1), latency, "", redundant)
    if not reason:
        reason = f"the latest proof is {age:.0f} s old"
    return ComponentState(name, False, round(age, 1), latency, reason, redundant)


def _read_probes() -> list[tuple[Any, ...]]:
    """(component, age, seconds since failure, latency, reason, redundant) of what is required or redundant, by the
    database's own clock.

    Not through the pool: waiting for a dead pool would take longer than the answer may.
    """
    parameters = connections["default"].get_connection_params()
    parameters = {name: value for name, value in parameters.items() if name in _DIRECT}
    with psycopg.connect(**parameters, connect_timeout=2, options="-c statement_timeout=2000") as direct:
        return direct.execute(
            "SELECT component, EXTRACT(EPOCH FROM clock_timestamp() - succeeded_at)::float8,"
            " EXTRACT(EPOCH FROM clock_timestamp() - failed_at)::float8, latency_ms, reason, redundant"
            " FROM core_componentprobe WHERE required OR redundant OR component = ANY(%s) ORDER BY component",
            [[BROKER, *WORKERS]],
        ).fetchall()
