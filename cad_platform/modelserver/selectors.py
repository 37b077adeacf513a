"""The fleet as people and probes see it."""

from __future__ import annotations

from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound
from cad_platform.modelserver.hosts import Version
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


def host_state(actor: Actor, host_id: int) -> HostState:
    """One host with its state, which depends on what the others have. Raises `NotPermitted` and `NotFound`."""
    found = next((each for each in fleet_of(actor) if each.host.pk == host_id), None)
    if found is None:
        raise NotFound(_("There is no such model server."))
    return found


def host_by_id(actor: Actor, host_id: int) -> ModelHost:
    """Raises `NotPermitted` and `NotFound`."""
    return host_state(actor, host_id).host


def hosted_version(actor: Actor, host_id: int, version_id: int) -> tuple[ModelHost, Version]:
    """A version on a host. Raises `NotPermitted` and `NotFound`."""
    host = host_by_id(actor, host_id)
    found = next((each for each in host.versions.all() if each.pk == version_id), None)
    if found is None:
        raise NotFound(_("There is no such version on this model server."))
    return host, Version(found.name, found.version)


def host_named(actor: Actor, name: str) -> ModelHost:
    """Raises `NotPermitted` and `NotFound`."""
    require(actor, "model.manage")
    host = ModelHost.objects.filter(name=name).first()
    if host is None:
        raise NotFound(f"No model server is called {name}.")
    return host
