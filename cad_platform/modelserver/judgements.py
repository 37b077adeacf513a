"""What a version's known case says of a host, where everybody sees it: in its row, in the audit log and in the log."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction

from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.modelserver.hosts import Version
from cad_platform.modelserver.models import HostedVersion, ModelHost

logger = logging.getLogger(__name__)


@transaction.atomic
def judge(host_id: int, version: Version, *, is_right: bool, why: str = "") -> None:
    """Keep that a host answered the version's known case rightly, or wrongly and is given no work. Recorded once,
    however many processes find it; nothing happens for a host that has left the fleet."""
    # The host's row first: two processes that find the same wait for each other.
    host = ModelHost.objects.select_for_update().filter(pk=host_id).first()
    if host is None:
        return
    found, _ = HostedVersion.objects.get_or_create(host=host, name=version.name, version=version.version)
    before = found.is_right
    if before is is_right:
        return
    HostedVersion.objects.filter(pk=found.pk).update(is_right=is_right)
    said: dict[str, Any] = {"host": host.name, "model": version.name, "version": version.version}
    if not is_right:
        logger.error("%s on %s gets no work: it %s", version, host.name, why)
        record(
            Actor.system("fleet"),
            "host.answer_wrong",
            object_type="host",
            object_id=host.pk,
            **said,
            reason=why[:300],
        )
    elif before is False:
        logger.warning("%s on %s answers its known case again", version, host.name)
        record(Actor.system("fleet"), "host.answer_right", object_type="host", object_id=host.pk, **said)
