"""What the readiness probes answer."""

from __future__ import annotations

from collections.abc import Iterable

from cad_platform.core.answers import Answer
from cad_platform.operations.readiness import ComponentState


class ComponentAnswer(Answer):
    ok: bool
    age_s: float | None
    latency_ms: float | None
    reason: str
    """Why it is not proven; empty where it is."""


class WebReadiness(Answer):
    ready: bool
    failed: list[str]


class Readiness(WebReadiness):
    components: dict[str, ComponentAnswer]


def readiness_of(states: Iterable[ComponentState]) -> Readiness:
    """Ready when every component has lately proven itself."""
    components = {
        state.name: ComponentAnswer(
            ok=state.ok, age_s=state.age_s, latency_ms=state.latency_ms, reason=state.reason
        )
        for state in states
    }
    failed = [name for name, component in components.items() if not component.ok]
    return Readiness(ready=not failed, failed=failed, components=components)
