"""Opening an image: asked of the permission table and recorded, so that nobody sees one unrecorded. What it looks like
then comes from `studies.pixels`."""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from typing import Any

from django.db import transaction

from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.studies import selectors
from cad_platform.studies.models import Instance

#: A person who goes on looking at one image is recorded once in this time.
ONE_VIEW_SECONDS = 15 * 60


class _RecentViews:
    """Who has lately been recorded as looking at what; bounded, one a process."""

    def __init__(self, seconds: float, capacity: int = 20_000) -> None:
        self.seconds, self.capacity = seconds, capacity
        self._seen: OrderedDict[tuple[Any, ...], float] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, key: tuple[Any, ...]) -> bool:
        with self._lock:
            return time.monotonic() - self._seen.get(key, -self.seconds) < self.seconds

    def add(self, key: tuple[Any, ...]) -> None:
        with self._lock:
            self._seen[key] = time.monotonic()
            self._seen.move_to_end(key)
            while len(self._seen) > self.capacity:
                self._seen.popitem(last=False)


_recent_views = _RecentViews(ONE_VIEW_SECONDS)


def open_image(actor: Actor, instance_id: uuid.UUID) -> Instance:
    """The image, recorded as `image.view` once a person, address and quarter of an hour.

    Raises
    ------
    NotPermitted
        The actor sees no images.
    NotFound
        It is unknown, or another site's.
    """
    instance = selectors.image(actor, instance_id)
    _record_view(actor, instance)
    return instance


def open_original(actor: Actor, instance_id: uuid.UUID) -> Instance:
    """As `open_image`, for the original file; every download is recorded."""
    instance = selectors.image(actor, instance_id)
    with transaction.atomic():
        _record(actor, "image.download", instance)
    return instance


def open_artefact(actor: Actor, instance: Instance) -> None:
    """Permission and record for a mask or heat map of the image: it shows a patient as the image does."""
    require(actor, "image.view", instance)
    _record_view(actor, instance)


def _record_view(actor: Actor, instance: Instance) -> None:
    key = (actor.user.pk if actor.user else None, actor.token_id, actor.address, instance.pk)
    if _recent_views.has(key):
        return
    with transaction.atomic():
        _record(actor, "image.view", instance)
    _recent_views.add(key)


def _record(actor: Actor, action: str, instance: Instance) -> None:
    record(
        actor,
        action,
        object_type="instance",
        object_id=instance.pk,
        site_id=instance.site_id,
        study=str(instance.series.study_id),
    )
