"""What is known of how each version answers. Nothing here asks a server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.models import ComponentProbe
from cad_platform.core.proofs import FRESH_FOR, STANDBY_FRESH_FOR
from cad_platform.registry.health import NOT_SERVED, component_of
from cad_platform.registry.models import ModelVersion


@dataclass(frozen=True)
class Serving:
    """How a version has lately answered real predictions; empty before it was asked for the first time.

    Attributes
    ----------
    answers
        It did lately, and nothing has gone wrong since.
    absent
        Every server that was asked says that it does not have this version.
    at, latency_ms
        When it last answered, and how quickly.
    reason
        Why it does not answer.
    """

    answers: bool = False
    absent: bool = False
    at: datetime | None = None
    reason: str = ""
    latency_ms: float | None = None

    @property
    def tried(self) -> bool:
        """Whether any server was asked for it yet."""
        return self.at is not None or bool(self.reason)


def serving_of(actor: Actor, versions: Iterable[ModelVersion]) -> dict[int, Serving]:
    """Version's id → how it answers, from the latest proofs by traffic: those of versions that analyse studies count
    for 30 seconds, of those that stand by, which are asked once a minute, for three minutes.

    Raises `NotPermitted`.
    """
    require(actor, "model.view")
    wanted = {component_of(version): version.pk for version in versions}
    probes = ComponentProbe.objects.filter(component__in=wanted)
    return dict.fromkeys(wanted.values(), Serving()) | {
        wanted[probe.component]: _serving(probe) for probe in probes
    }


def _serving(probe: ComponentProbe) -> Serving:
    fresh_for = FRESH_FOR if probe.required else STANDBY_FRESH_FOR
    at, failed_at = probe.succeeded_at, probe.failed_at
    failed_last = failed_at is not None and (at is None or failed_at > at)
    fresh = at is not None and timezone.now() - at < fresh_for
    if failed_last:
        reason = probe.reason
    elif fresh or at is None:
        reason = ""
    else:
        reason = f"the latest answer is {(timezone.now() - at).total_seconds():.0f} s old"
    return Serving(
        answers=fresh and not failed_last,
        absent=failed_last and probe.code == NOT_SERVED,
        at=at,
        reason=reason,
        latency_ms=probe.latency_ms,
    )
