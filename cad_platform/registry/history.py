"""What is recorded of model versions, and what they once were."""

from __future__ import annotations

from typing import Any

from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.registry.models import ModelRoute, ModelVersion

LONGEST_REASON = 2000


def record_of(actor: Actor, action: str, version: ModelVersion, **detail: Any) -> None:
    """Audit something that happened to a version."""
    record(
        actor, action, object_type="model", object_id=version.pk,
        name=version.name, version=version.version, **detail,
    )  # fmt: skip


def has_been_default(version: ModelVersion, site_id: int | None = None) -> bool:
    """Whether the version was the default before: of the platform, or of the site that is named."""
    was = _events(ModelVersion).filter(pgh_obj_id=version.pk, is_default=True).exists()
    if was or site_id is None:
        return was
    own = _events(ModelRoute).filter(version_id=version.pk, site_id=site_id)
    return own.filter(kind=ModelRoute.Kind.DEFAULT).exists()


def default_before(name: str, but: int | None) -> ModelVersion | None:
    """The version of a model that was the platform's default before `but`, if it may be again."""
    events = _events(ModelVersion).filter(name=name, is_default=True).order_by("-pgh_id")
    for key in events.values_list("pgh_obj_id", flat=True):
        if key != but:
            found = ModelVersion.objects.filter(pk=key, state=ModelVersion.State.APPROVED).first()
            if found is not None:
                return found
    return None


def _events(of: Any) -> Any:
    """The history that `pghistory.track` keeps of a model."""
    return of.pgh_event_model.objects
