"""The fleet as people and probes see it."""

from __future__ import annotations

from django.db.models.functions import Now
from django.utils import timezone

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound
from cad_platform.modelserver.models import ModelHost
from cad_platform.modelserver.states import HostState, states_of


def fleet_of(actor: Actor) -> list[HostState]:
    """Every host with its state, by name. Raises `NotPermitted`."""
    require(actor, "model.manage")
    return fleet_states()


def fleet_states() -> list[HostState]:
    """The same for the probes, which nobody asks for."""
    hosts = list(ModelHost.objects.prefetch_related("versions").annotate(read_at=Now()))
    return states_of(hosts, hosts[0].read_at if hosts else timezone.now())


def host_named(actor: Actor, name: str) -> ModelHost:
    """Raises `NotPermitted` and `NotFound`."""
    require(actor, "model.manage")
    host = ModelHost.objects.filter(name=name).first()
    if host is None:
        raise NotFound(f"No model server is called {name}.")
    return host
