"""The repository's models, registered and in use, where that they are is not what is tested."""

from __future__ import annotations

from copy import copy

from django.utils import timezone

from cad_platform.core.actor import Actor
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.selectors import newest_first
from cad_platform.registry.services import register_from_store

_registered: list[ModelVersion] = []


def models_in_use() -> dict[str, ModelVersion]:
    """By name, the newest of each the default, as at a first start. That a server answers for them is another test's
    subject (`tests/registry`).

    To read all files of the store and see that they are those that were sealed takes half a second: it is done once in
    a run, and what was registered then is written again.
    """
    if _registered:
        known = [copy(version) for version in _registered]
        for version in known:
            version.pk, version.registered_at, version._state.adding = None, timezone.now(), True
        ModelVersion.objects.bulk_create(known)
    else:
        known = list(register_from_store(Actor.system("test")).versions)
        _registered.extend(map(copy, known))
    newest = {version.name: version for version in reversed(newest_first(known))}
    ours = ModelVersion.objects.filter(pk__in=[version.pk for version in newest.values()])
    ours.update(is_default=True, state=ModelVersion.State.APPROVED, came_with_installation=True)
    return {version.name: version for version in ours}
