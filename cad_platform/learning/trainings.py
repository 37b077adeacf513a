"""Retraining as a job: asked for, cancelled, gone on with by a person; what runs it stands in `running`."""

from __future__ import annotations

import uuid
from pathlib import Path

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.learning import versions
from cad_platform.learning.models import DatasetVersion, Training

TRAIN_TOPIC = "learning.training"
State = Training.State


def recipes() -> list[str]:
    """The laboratory's recipes by name: which of them fits the images of a version the laboratory says, in words."""
    import inference.recipes

    folder = Path(inference.recipes.__file__).parent
    return sorted(path.stem for path in folder.glob("*.yaml"))


@transaction.atomic
def ask(actor: Actor, version: DatasetVersion, recipe: str, variant: str = "") -> Training:
    """Have a recipe learn from a version; asked again while it waits or runs, nothing new is begun.

    Raises
    ------
    NotPermitted
    Invalid
        There is no such recipe.
    Conflict
        `withdrawn`: a patient of the version no longer consents.
    """
    require(actor, "model.manage")
    if recipe not in recipes():
        raise Invalid(
            _("The training was not begun."), errors=(FieldError(_("There is no such recipe."), "recipe"),)
        )
    if versions.withdrawn(version):
        raise Conflict(_("A patient of this version no longer consents."), code="withdrawn")
    made, is_new = Training.objects.get_or_create(
        dataset=version,
        recipe=recipe,
        variant=variant,
        state__in=Training.OPEN,
        defaults={"asked_by": actor.user},
    )
    if is_new:
        _record(actor, "training.ask", made)
        outbox.publish(TRAIN_TOPIC, training_id=str(made.pk))
    return made


@transaction.atomic
def cancel(actor: Actor, training_id: uuid.UUID) -> Training:
    """Have a training end; what it has learned stays, and `go_on` goes on from there. Raises `NotPermitted`,
    `NotFound`, or `Conflict` where it has ended."""
    found = _locked(actor, training_id)
    if found.state not in Training.OPEN:
        raise Conflict(_("This training has ended."))
    found.is_cancelled = True
    if found.state == State.WAITING:
        found.state, found.ended_at = State.CANCELLED, timezone.now()
    found.save(update_fields=["is_cancelled", "state", "ended_at"])
    _record(actor, "training.cancel", found)
    return found


@transaction.atomic
def go_on(actor: Actor, training_id: uuid.UUID) -> Training:
    """Go on with a training that was cancelled or failed. Raises `NotPermitted`, `NotFound`, or `Conflict`: it waits or
    runs, has succeeded, or a patient no longer consents."""
    found = _locked(actor, training_id)
    if found.state not in {State.CANCELLED, State.FAILED}:
        raise Conflict(_("This training waits, runs or has succeeded."))
    same = Training.objects.filter(
        dataset=found.dataset_id, recipe=found.recipe, variant=found.variant, state__in=Training.OPEN
    )
    if same.exists():
        raise Conflict(_("The same training was begun anew."))
    if versions.withdrawn(found.dataset):
        raise Conflict(_("A patient of this version no longer consents."), code="withdrawn")
    found.state, found.is_cancelled, found.said, found.ended_at = State.WAITING, False, "", None
    found.save(update_fields=["state", "is_cancelled", "said", "ended_at"])
    _record(actor, "training.go_on", found)
    outbox.publish(TRAIN_TOPIC, training_id=str(found.pk))
    return found


def trainings(actor: Actor) -> QuerySet[Training]:
    """Those whose data set the actor may see, the latest first. Raises `NotPermitted`."""
    seen = versions.versions(actor).order_by().values("pk")
    return Training.objects.filter(dataset__in=seen).select_related("dataset__site", "asked_by", "candidate")


def training_by_id(actor: Actor, training_id: uuid.UUID) -> Training:
    """One training. Raises `NotFound` or `NotPermitted`."""
    found = trainings(actor).filter(pk=training_id).first()
    if found is None:
        raise NotFound(_("There is no such training."))
    return found


def _locked(actor: Actor, training_id: uuid.UUID) -> Training:
    require(actor, "model.manage")
    found = training_by_id(actor, training_id)
    return Training.objects.select_for_update(of=("self",)).select_related("dataset__site").get(pk=found.pk)


def _record(actor: Actor, action: str, training: Training) -> None:
    record(
        actor, action, object_type="training", object_id=training.pk, site_id=training.dataset.site_id,
        recipe=training.recipe, variant=training.variant, dataset=str(training.dataset_id),
    )  # fmt: skip
