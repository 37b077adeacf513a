"""What housekeeping does for the fleet every few seconds: which hosts there are, their tokens renewed before they end,
and how many workers each version has."""

from __future__ import annotations

import logging

from cad_platform.core.proofs import ProbeFailed
from cad_platform.modelserver import administration, discovery
from cad_platform.modelserver.configured import get_model_server
from cad_platform.modelserver.hosts import Version
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.selectors import fleet_states
from cad_platform.modelserver.states import State
from cad_platform.modelserver.torchserve import TorchServeModelServer

logger = logging.getLogger(__name__)

ROUND_SECONDS = 10.0


def look_after() -> None:
    """One round; may run twice at once."""
    server = get_model_server()
    if not isinstance(server, TorchServeModelServer):
        return
    discovery.reconcile()
    for host in server.fleet.hosts():
        administration.renew_tokens(host)
        for found in HostedVersion.objects.filter(host_id=host.key, is_loaded=True):
            said = administration.describe(host, Version(found.name, found.version))
            if said is None:
                break  # it cannot be asked, for this version or another
            counted = {"ready_workers": said.status.ready, "workers": said.status.workers}
            if (found.ready_workers, found.workers) != (said.status.ready, said.status.workers):
                HostedVersion.objects.filter(pk=found.pk).update(**counted)
            ModelHost.objects.filter(pk=host.key).exclude(device=said.device).update(device=said.device)


def component_of(host: ModelHost) -> str:
    """What readiness calls a host."""
    return f"host:{host.name}"[:120]


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
