"""What administrators do with the fleet. Hosts of the settings come and go with them (`discovery`)."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid
from cad_platform.modelserver.models import ModelHost


def add_host(
    actor: Actor,
    url: str,
    *,
    name: str = "",
    management_url: str = "",
    metrics_url: str = "",
    key_file: str = "",
    ca_file: str = "",
    server_name: str = "",
    protocol: str = ModelHost.Protocol.TORCHSERVE,
) -> ModelHost:
    """Take a host into the fleet: every process sends work there a second later, once it has answered.

    Raises
    ------
    NotPermitted, Invalid
        An address is none that HTTP leads to.
    Conflict
        The name or the address is another host's.
    """
    require(actor, "model.manage")
    for address in (url, *filter(None, (management_url, metrics_url))):
        _check_address(address)
    if protocol not in ModelHost.Protocol or (management_url and protocol != ModelHost.Protocol.TORCHSERVE):
        raise Invalid(_("The Open Inference Protocol knows no management address."))
    url = url.rstrip("/")
    try:
        with transaction.atomic():
            host = ModelHost.objects.create(
                name=name or url.partition("://")[2],
                url=url,
                management_url=management_url.rstrip("/"),
                metrics_url=metrics_url.rstrip("/"),
                key_file=key_file,
                ca_file=ca_file,
                server_name=server_name,
                protocol=protocol,
                source=ModelHost.Source.ADDED,
            )
            record(actor, "host.add", object_type="host", object_id=host.pk, host=host.name, url=host.url)
    except IntegrityError as error:
        raise Conflict(_("A model server of that name or address is known already.")) from error
    return host


@transaction.atomic
def remove_host(actor: Actor, host: ModelHost) -> None:
    """Take a host that was added out of the fleet.

    Raises
    ------
    NotPermitted, Conflict
        It stands in the settings, and would be back in a moment.
    """
    require(actor, "model.manage")
    if host.source != ModelHost.Source.ADDED:
        raise Conflict(_("This model server stands in the settings: take it out there, or drain it."))
    record(actor, "host.remove", object_type="host", object_id=host.pk, host=host.name, url=host.url)
    host.delete()


@transaction.atomic
def drain(actor: Actor, host: ModelHost) -> None:
    """Give a host no new work; what it computes ends there. Draining a host that drains changes nothing."""
    _drain(actor, host, draining=True)


@transaction.atomic
def resume(actor: Actor, host: ModelHost) -> None:
    """Give a drained host work again."""
    _drain(actor, host, draining=False)


def _drain(actor: Actor, host: ModelHost, *, draining: bool) -> None:
    require(actor, "model.manage")
    since = timezone.now() if draining else None
    changed = ModelHost.objects.filter(pk=host.pk, draining_since__isnull=draining).update(
        draining_since=since
    )
    if changed:
        record(
            actor,
            "host.drain" if draining else "host.resume",
            object_type="host",
            object_id=host.pk,
            host=host.name,
        )


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or parts.username or parts.query or parts.fragment:
        raise Invalid(_("%(address)s is no address of a model server.") % {"address": address})
