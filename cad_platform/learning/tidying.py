"""Images that were written for a training go when it has ended, whoever ended it, and when a patient of them was erased
or no longer consents. What was learned stays, for whoever goes on."""

from __future__ import annotations

import shutil
import uuid
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.learning import versions
from cad_platform.learning.models import Training

#: Whoever works on a training and has not been seen for so long is gone.
LOST_AFTER = timedelta(seconds=60)
#: Images of a training that nobody has worked on for so long go, too: who goes on with it writes them anew.
KEPT_FOR = timedelta(days=7)
_IMAGES = ("tree", ".tree-*", "store", "version.zip")


def folders() -> Path:
    """Where each training has a folder. On several machines a shared state folder."""
    return Path(settings.STATE_DIR) / "learning"


def remove_images(folder: Path) -> int:
    """Remove what a training's folder holds of images; how many files and folders that were."""
    found = [path for pattern in _IMAGES for path in folder.glob(pattern)]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(found)


def take_turn() -> None:
    """End what may no longer be learned, and look at the folders of this machine. Any process may do it, at any time
    and twice at once."""
    for training_id in Training.objects.filter(state__in=Training.OPEN).values_list("pk", flat=True):
        _end_if_withdrawn(training_id)
    for folder in folders().glob("*"):
        try:
            _look_at(folder, uuid.UUID(folder.name))
        except ValueError:
            continue  # no training's


@transaction.atomic
def _end_if_withdrawn(training_id: uuid.UUID) -> None:
    """Cancel a training with a patient who was erased or no longer consents; whoever works on it ends within seconds,
    and where nobody does any more it has ended."""
    row = _locked(training_id)
    if row is None or row.state not in Training.OPEN:
        return
    if not row.is_cancelled and versions.withdrawn(row.dataset):
        row.is_cancelled = True
        record(
            Actor.system("housekeeping"), "training.cancel", object_type="training", object_id=row.pk,
            site_id=row.dataset.site_id, why="withdrawn",
        )  # fmt: skip
    if row.is_cancelled and (row.state == Training.State.WAITING or _seen(row) > LOST_AFTER):
        row.state, row.ended_at = Training.State.CANCELLED, timezone.now()
    row.save(update_fields=["is_cancelled", "state", "ended_at"])


@transaction.atomic
def _look_at(folder: Path, training_id: uuid.UUID) -> None:
    """Under the row's lock, which whoever goes on with it waits for."""
    row = _locked(training_id)
    if row is None or row.state not in Training.OPEN or _seen(row) > KEPT_FOR:
        remove_images(folder)


def _locked(training_id: uuid.UUID) -> Training | None:
    found = Training.objects.select_for_update(of=("self",)).select_related("dataset")
    return found.filter(pk=training_id).first()


def _seen(row: Training) -> timedelta:
    """Since when nobody has worked on it."""
    return timezone.now() - (row.seen_at or row.asked_at)
