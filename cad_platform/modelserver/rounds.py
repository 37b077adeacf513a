"""What housekeeping does for the fleet every few seconds: which hosts there are, their tokens renewed before they end,
which workers each version has and what the hosts count; workers that hang are started again."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.core.proofs import ProbeFailed
from cad_platform.modelserver import administration, discovery, loading
from cad_platform.modelserver.administration import Worker
from cad_platform.modelserver.configured import get_model_server
from cad_platform.modelserver.counters import read_counters
from cad_platform.modelserver.hosts import Host, Served, Version
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.selectors import fleet_states
from cad_platform.modelserver.states import State
from cad_platform.modelserver.torchserve import TorchServeModelServer

logger = logging.getLogger(__name__)

ROUND_SECONDS = 10.0
#: Workers that answer nothing for so long, while their host says that they are ready, are started again; not sooner
#: again than after the longer time.
STUCK_AFTER, RESTART_AGAIN_AFTER = timedelta(seconds=60), timedelta(minutes=10)


def look_after() -> None:
    """One round; may run twice at once."""
    if not isinstance(get_model_server(), TorchServeModelServer):
        return
    discovery.reconcile()
    for host in hosts():
        administration.renew_tokens(host)
        _ask(host)
        _count(host)


def _ask(host: Host) -> None:
    """Write down which workers each version of a host has."""
    defaults: dict[str, str | None] = {}
    loaded = list(HostedVersion.objects.filter(host_id=host.key, is_loaded=True).select_related("host"))
    for found in loaded:
        version = Version(found.name, found.version)
        said = administration.describe(host, version)
        if said is None:
            break  # it cannot be asked, for this version or another
        alone = sum(other.name == version.name for other in loaded) == 1
        if alone and found.is_default:
            defaults[version.name] = version.version  # as it said before, and there is no other
        elif version.name not in defaults:
            defaults[version.name] = administration.default_version(host, version.name)
        default = defaults[version.name]
        seen = {
            "ready_workers": said.status.ready,
            "workers": said.status.workers,
            "min_workers": said.min_workers,
            "max_workers": said.max_workers,
            "pending": said.pending,
            "worker_details": [_kept(worker, host.versions[version]) for worker in said.workers],
            "is_default": None if default is None else default == version.version,
        }
        changed = {name: value for name, value in seen.items() if getattr(found, name) != value}
        if changed:
            HostedVersion.objects.filter(pk=found.pk).update(**changed)
        if found.host.device != said.device:
            ModelHost.objects.filter(pk=host.key).update(device=said.device)
        if said.status.ready and found.is_resting:
            _restart_if_stuck(host, found)


def _kept(worker: Worker, served: Served) -> dict[str, Any]:
    """What stands in the row, with the memory that it told of itself, where its host does not say."""
    told = served.workers.get(worker.pid or 0)
    kept = asdict(worker)
    del kept["pid"]  # of the host's own numbers, and told to nobody
    return kept if told is None or worker.memory_mb else kept | {"memory_mb": told.memory_mb}


def _memory_of_device(host: Host) -> tuple[int | None, int | None]:
    """Used and there, of all graphics cards that its workers told of; none where they compute on none."""
    cards = {
        told.gpu: (told.device_used_mb or 0, told.device_total_mb or 0)
        for served in tuple(host.versions.values())
        for told in tuple(served.workers.values())
        if told.gpu is not None
    }
    if not cards:
        return None, None
    return sum(used for used, _ in cards.values()), sum(total for _, total in cards.values())


def _restart_if_stuck(host: Host, found: HostedVersion) -> None:
    """Ready, says the host, and nothing is answered for a minute: start its workers again."""
    stuck = HostedVersion.objects.filter(
        pk=found.pk, is_resting=True, changed_at__lt=Now() - STUCK_AFTER, host__draining_since=None
    ).exclude(restarted_at__gt=Now() - RESTART_AGAIN_AFTER)
    if not stuck.exists():
        return
    row = ModelHost.objects.get(pk=host.key)
    try:
        loading.restart_workers(Actor.system("fleet"), row, Version(found.name, found.version))
    except PlatformError as error:
        logger.warning("workers of %s on %s are not started again: %s", found, host.name, error)
        # Not in each round.
        HostedVersion.objects.filter(pk=found.pk).update(restarted_at=Now())


def _count(host: Host) -> None:
    """Write down what a host counts, and since when nothing has come to it."""
    counters = read_counters(host)
    used, total = _memory_of_device(host)
    if counters is not None and counters.memory_used_mb is not None:
        used, total = counters.memory_used_mb, counters.memory_total_mb
    row = ModelHost.objects.filter(pk=host.key).prefetch_related("versions").first()
    if row is None:
        return
    memory = {"memory_used_mb": used, "memory_total_mb": total}
    if counters is None:
        seen = {"requests_total": None, "pending": None, "quiet_since": None, "counted_at": None, **memory}
        if any(getattr(row, name) != value for name, value in seen.items()):
            ModelHost.objects.filter(pk=row.pk).update(**seen)
        return
    waiting = [found.pending for found in row.versions.all() if found.is_loaded and found.pending is not None]
    pending = sum(waiting) if waiting else None
    moved = counters.requests_total != row.requests_total or bool(pending)
    quiet_since = Now() if moved or row.quiet_since is None else row.quiet_since
    ModelHost.objects.filter(pk=row.pk).update(
        requests_total=counters.requests_total,
        pending=pending,
        counted_at=Now(),
        quiet_since=quiet_since,
        **memory,
    )


def hosts() -> tuple[Host, ...]:
    """Those that models are served by; none where they are served in this very process."""
    server = get_model_server()
    return server.fleet.hosts() if isinstance(server, TorchServeModelServer) else ()


def component_of(name: str) -> str:
    """What readiness calls the host of a name."""
    return f"host:{name}"[:120]


def check(host_id: int) -> None:
    """Whether a host does its part, by what traffic and known cases have shown.

    Raises
    ------
    ProbeFailed
        It is degraded or down; `code` says which.
    """
    for found in fleet_states():
        if found.host.pk == host_id and found.state in {State.DEGRADED, State.DOWN}:
            raise ProbeFailed(found.reason, found.state)
