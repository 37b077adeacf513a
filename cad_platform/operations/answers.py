"""What the readiness probes answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from cad_platform.core.answers import Answer
from cad_platform.operations.readiness import ComponentState


class ComponentAnswer(Answer):
    ok: bool
    age_s: float | None
    latency_ms: float | None
    reason: str | None
    """Why it is not proven; empty where it is, None for those who are not signed in."""


class WebReadiness(Answer):
    ready: bool
    failed: list[str]


class Readiness(WebReadiness):
    state: Literal["ready", "degraded", "down"]
    degraded: list[str]
    """What fails while others do its work."""
    components: dict[str, ComponentAnswer]


def readiness_of(states: Iterable[ComponentState], *, reasons: bool) -> Readiness:
    """Ready when every component that nothing can stand in for has lately proven itself.

    Parameters
    ----------
    reasons
        Whether to say why one has not.
    """
    states = list(states)
    failed = [state.name for state in states if not state.ok and not state.redundant]
    degraded = [state.name for state in states if not state.ok and state.redundant]
    return Readiness(
        ready=not failed,
        state="down" if failed else "degraded" if degraded else "ready",
        failed=failed,
        degraded=degraded,
        components={
            state.name: ComponentAnswer(
                ok=state.ok,
                age_s=state.age_s,
                latency_ms=state.latency_ms,
                reason=state.reason if reasons else None,
            )
            for state in states
        },
    )
