"""Which versions a host has, and with how many workers, as administrators decide.

Each is recorded before the host is told, as an attempt where it refuses or does not answer. What is begun is not waited
for: the next rounds of housekeeping show how far it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound, Unavailable
from cad_platform.modelserver import administration
from cad_platform.modelserver.administration import ManagementFailed
from cad_platform.modelserver.fleet import host_of
from cad_platform.modelserver.hosts import Version
from cad_platform.modelserver.models import HostedVersion, ModelHost

#: Of a model and of a version: they stand in addresses and in the name of an archive.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}")
#: Workers of one version on one host.
MOST_WORKERS = 32
#: Workers that were just started again are not stopped again: what comes twice is done once.
_RESTARTED_LATELY = timedelta(seconds=60)


def register(actor: Actor, host: ModelHost, version: Version, workers: int = 1) -> None:
    """Have a host load a version from the archive in its own model store. It gets work once it has answered the
    version's known case.

    Raises
    ------
    NotPermitted, Invalid, Conflict, Unavailable
        `Conflict` where the host refuses, `Unavailable` where it does not answer: nothing was changed.
    """
    _check_workers(workers, workers)
    if not all(_NAME.fullmatch(part) for part in version):
        raise Invalid(_("%(version)s is no version of a model.") % {"version": version})
    with _order_recorded(actor, "host.register", host, version, workers=workers) as row:
        administration.register(host_of(row), version, workers)


def scale(actor: Actor, host: ModelHost, version: Version, minimum: int, maximum: int) -> None:
    """Have a version's workers started or stopped. Raises as `register`, and `NotFound`."""
    _check_workers(minimum, maximum)
    with _order_recorded(actor, "host.scale", host, version, minimum=minimum, maximum=maximum) as row:
        _known(row, version)
        administration.scale(host_of(row), version, minimum, maximum)


def make_default(actor: Actor, host: ModelHost, version: Version) -> None:
    """Whom the host asks where no version is named: other clients' calls, since the platform names one always. Raises
    as `scale`."""
    with _order_recorded(actor, "host.make_default", host, version) as row:
        _known(row, version)
        administration.make_default(host_of(row), version)


def unregister(actor: Actor, host: ModelHost, version: Version) -> None:
    """Have a host forget a version.

    Raises
    ------
    Conflict
        No other host that takes work has it.
    NotPermitted, NotFound, Unavailable
    """
    # Every host is locked: two that are told at once must not be each other's reason.
    with _order_recorded(actor, "host.unregister", host, version, every_host=True) as row:
        found = _known(row, version)
        elsewhere = (
            HostedVersion.objects.filter(
                host__draining_since=None,
                name=version.name,
                version=version.version,
                is_loaded=True,
                is_resting=False,
            )
            .exclude(host=row)
            .exclude(is_right=False)
        )
        if found.is_loaded and not elsewhere.exists():
            raise Conflict(
                _("No other model server has %(version)s: load it there first.") % {"version": version}
            )
        administration.unregister(host_of(row), version)
        HostedVersion.objects.filter(pk=found.pk).update(
            is_loaded=False,
            is_right=None,
            changed_at=Now(),
            workers=None,
            ready_workers=None,
            worker_details=[],
        )


def restart_workers(actor: Actor, host: ModelHost, version: Version) -> None:
    """Stop a version's workers, whatever they are at, and start as many anew.

    Raises
    ------
    Conflict
        They were started again a moment ago, by whomever.
    NotPermitted, NotFound, Unavailable
    """
    with _order_recorded(actor, "host.restart", host, version) as row:
        found = _known(row, version)
        lately = HostedVersion.objects.filter(pk=found.pk, restarted_at__gt=Now() - _RESTARTED_LATELY)
        if lately.exists():
            raise Conflict(_("Its workers were started again a moment ago."))
        minimum = found.min_workers or found.workers or 1
        administration.restart_workers(host_of(row), version, minimum, found.max_workers or minimum)
        HostedVersion.objects.filter(pk=found.pk).update(restarted_at=Now())


@contextmanager
def _order_recorded(
    actor: Actor,
    action: str,
    host: ModelHost,
    version: Version,
    *,
    every_host: bool = False,
    **detail: object,
) -> Iterator[ModelHost]:
    """Around what a host is told: its row is locked, so that what comes at once comes one after the other."""
    require(actor, "model.manage")
    said_of: dict[str, Any] = {"object_type": "host", "object_id": host.pk, "host": host.name}
    said_of |= {"model": version.name, "version": version.version, **detail}
    try:
        with transaction.atomic():
            rows = ModelHost.objects.select_for_update().order_by("pk")
            row = next(
                (row for row in (rows if every_host else rows.filter(pk=host.pk)) if row.pk == host.pk), None
            )
            if row is None:
                raise NotFound(_("There is no such model server."))
            record(actor, action, **said_of)
            yield row
    except ManagementFailed as error:
        # It may have begun to do it all the same.
        record(actor, action, outcome="failure", **said_of, reason=str(error)[:200])
        said = _("%(host)s did not do it: %(why)s.") % {"host": host.name, "why": error}
        raise (Conflict(said) if error.refused else Unavailable(said)) from error


def _known(row: ModelHost, version: Version) -> HostedVersion:
    found = row.versions.filter(name=version.name, version=version.version).first()
    if found is None:
        raise NotFound(
            _("%(host)s was never asked for %(version)s.") % {"host": row.name, "version": version}
        )
    return found


def _check_workers(minimum: int, maximum: int) -> None:
    if not 1 <= minimum <= maximum <= MOST_WORKERS:
        raise Invalid(
            _("A version has 1 to %(most)s workers, at least as many at most as at least.")
            % {"most": MOST_WORKERS}
        )
