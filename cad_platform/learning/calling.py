"""Trainings that nobody works on, and workers that do not know of it: a worker was killed, a message went with a
broker's memory. Looked for every half minute by housekeeping, as the sweeper does for analyses."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.core.models import OutboxEvent
from cad_platform.learning import tidying
from cad_platform.learning.models import Training
from cad_platform.learning.trainings import TRAIN_TOPIC

State = Training.State
#: What waits while nothing learns is called for anew so often. Where no worker serves the queue the calls stand there,
#: and whoever takes one too many finds nothing to do.
CALLED_EVERY = timedelta(hours=1)


def lost() -> Q:
    """Trainings that a process had begun with and that it has not been heard of for a minute."""
    return Q(state=State.RUNNING, seen_at__lt=timezone.now() - tidying.LOST_AFTER)


def take_turn() -> int:
    """Put what was lost among what waits, and call for workers; returns how many were called for. Safe beside another
    that does the same."""
    called = sum(
        _wait_again(pk)
        for pk in Training.objects.filter(lost(), is_cancelled=False).values_list("pk", flat=True)
    )
    return called or _call_anew()


@transaction.atomic
def _wait_again(training_id: uuid.UUID) -> bool:
    """Whoever held it finds out at its next word, and ends what it has started."""
    row = (
        Training.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("dataset")
        .filter(lost(), pk=training_id, is_cancelled=False)
        .first()
    )
    if row is None:
        return False
    row.state, row.holder = State.WAITING, None
    row.save(update_fields=["state", "holder"])
    record(
        Actor.system("housekeeping"), "training.lost", object_type="training", object_id=row.pk,
        site_id=row.dataset.site_id,
    )  # fmt: skip
    outbox.publish(TRAIN_TOPIC, training_id=str(row.pk))
    return True


@transaction.atomic
def _call_anew() -> bool:
    """One call where something waits, nothing learns, and nobody was called for within the hour."""
    waiting = Training.objects.filter(state=State.WAITING).order_by("asked_at", "pk").first()
    if waiting is None or Training.objects.filter(state=State.RUNNING).exists():
        return False
    since = timezone.now() - CALLED_EVERY
    if OutboxEvent.objects.filter(topic=TRAIN_TOPIC, created_at__gt=since).exists():
        return False
    outbox.publish(TRAIN_TOPIC, training_id=str(waiting.pk))
    return True
