"""What a host's rows amount to: ready, degraded, draining or down, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.pace import LONGEST_SECONDS

#: A version that nobody asked a host for since says nothing of it: another one runs, or the host was left out.
LATELY = timedelta(minutes=10)
#: The longest that one forward pass may take, and until every process has read that a host drains.
LONGEST_CALL, SETTLING = timedelta(seconds=LONGEST_SECONDS), timedelta(seconds=5)
#: Counters that were not read for longer prove nothing now.
COUNTED_LATELY = timedelta(seconds=60)


class State(models.TextChoices):
    READY = "ready", _("Ready")
    DEGRADED = "degraded", _("Degraded")
    DRAINING = "draining", _("Draining")
    DOWN = "down", _("Down")


@dataclass(frozen=True)
class Drained:
    """Whether a host that drains has nothing left to do. `by_counters`: it said so itself; else the time shows it, in
    which the longest call of the platform ends."""

    is_done: bool
    by_counters: bool
    since: datetime | None = None


@dataclass(frozen=True)
class HostState:
    """A host, the versions that it was lately asked for, and what that makes of it. `reason`: empty for ready.
    `drained`: none where it does not drain."""

    host: ModelHost
    state: State
    reason: str
    versions: Sequence[HostedVersion]
    drained: Drained | None = None


def states_of(hosts: Iterable[ModelHost], now: datetime) -> list[HostState]:
    """The state of each host of the fleet, which are all asked for together: what one has, others may lack.

    Parameters
    ----------
    hosts
        With their versions prefetched.
    now
        By the database's clock.
    """
    lately = {
        host: [found for found in host.versions.all() if _asked_at(found) > now - LATELY] for host in hosts
    }
    served = {
        (found.name, found.version) for versions in lately.values() for found in versions if found.is_loaded
    }
    return [
        HostState(host, *_state(host, lately, served), lately[host], drained(host, now)) for host in lately
    ]


def drained(host: ModelHost, now: datetime) -> Drained | None:
    """Whether a draining host still has something in flight; None for one that does not drain.

    A host is asked for nothing new a second after its row says so, and no call takes longer than `LONGEST_CALL`. Where
    it counts, it has taken no request for so long and none waits in its queues; else the same time since the row.
    """
    if host.draining_since is None:
        return None
    settled = host.draining_since + SETTLING
    counted = host.counted_at if host.pending is not None else None
    if counted is None or now - counted >= COUNTED_LATELY:
        return Drained(now - settled >= LONGEST_CALL, by_counters=False, since=settled)
    if host.pending or host.quiet_since is None or counted < settled:
        return Drained(is_done=False, by_counters=True)
    return Drained(now - host.quiet_since >= LONGEST_CALL, by_counters=True, since=host.quiet_since)


def _state(
    host: ModelHost, lately: Mapping[ModelHost, Sequence[HostedVersion]], served: Collection[tuple[str, str]]
) -> tuple[State, str]:
    versions = lately[host]
    if host.draining_since is not None:
        return State.DRAINING, "it is given no new work"
    if not versions:
        return State.DOWN, "it has not answered yet"
    unfit = [found for found in versions if found.is_resting or found.is_right is False]
    if unfit:
        reason = "; ".join(dict.fromkeys(f"{found}: {found.reason or 'failed'}" for found in unfit))
        return (State.DOWN if len(unfit) == len(versions) else State.DEGRADED), reason
    missing = [
        found for found in versions if found.is_loaded is False and (found.name, found.version) in served
    ]
    if missing:
        return State.DEGRADED, f"it does not have {', '.join(map(str, missing))}"
    return State.READY, ""


def _asked_at(found: HostedVersion) -> datetime:
    moments = [
        moment for moment in (found.succeeded_at, found.failed_at, found.changed_at) if moment is not None
    ]
    return max(moments) if moments else datetime.min.replace(tzinfo=found.host.added_at.tzinfo)
