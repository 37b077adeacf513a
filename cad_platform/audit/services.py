"""Recording actions. The sealer and the verifier are in `audit.chain`."""

from __future__ import annotations

from typing import Any

from cad_platform.audit.models import AuditEvent
from cad_platform.core import rows
from cad_platform.core.actor import Actor


def record(
    actor: Actor,
    action: str,
    *,
    object_type: str = "",
    object_id: object = "",
    site_id: int | None = None,
    outcome: str = "success",
    **detail: Any,
) -> AuditEvent:
    """Write one event in the caller's transaction, so that neither exists without the other.

    `action` is `<object>.<verb>`; `detail` holds ids, codes and counts, never a patient's name or number.
    """
    event = AuditEvent(
        actor=actor.user,
        actor_label=actor.label,
        token_id=actor.token_id,
        site_id=site_id if site_id is not None else actor.site_id,
        action=action,
        object_type=object_type,
        object_id=str(object_id),
        outcome=outcome,
        request_id=actor.request_id,
        address=actor.address,
        detail=detail,
    )
    rows.insert(event)
    return event
