"""How readers leave images and stage: kept as they go, given back when they return, on whatever workstation.

A view says nothing of the patient and nothing clinical rests on it, so that it is not audited: who opened the case is
on record, and what they did there that counts is too.
"""

from __future__ import annotations

from typing import TypeVar

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from pydantic import ValidationError

from cad_platform.accounts.rules import allowed, require
from cad_platform.core.actor import Actor
from cad_platform.core.answers import Answer
from cad_platform.core.errors import Conflict, Invalid
from cad_platform.reading.models import ReadingView
from cad_platform.reading.view_answers import ImageView, KeptViews, StageView
from cad_platform.studies.models import Instance, Study

#: Characters of one view's JSON; a stage with a hundred images has half of it.
LONGEST = 8000

_State = TypeVar("_State", bound=Answer)


@transaction.atomic
def keep_stage(actor: Actor, study: Study, state: str) -> None:
    """Keep how the actor has the stage of a study.

    Parameters
    ----------
    state
        JSON of a `StageView`.

    Raises
    ------
    NotFound, NotPermitted
        The study is another site's, or the actor reads no images at the pages.
    Invalid
        It is no such view.
    Conflict
        The study is withdrawn.
    """
    _keep(actor, study, None, _parsed(StageView, state))


@transaction.atomic
def keep_image(actor: Actor, study: Study, image: Instance, state: str) -> None:
    """Keep how the actor has an image. As `keep_stage`, with JSON of an `ImageView`; `Invalid` also where the image is
    another study's."""
    if image.series.study_id != study.pk:
        raise Invalid(_("The image belongs to another study."))
    _keep(actor, study, image, _parsed(ImageView, state))


def views_of(actor: Actor, study: Study) -> KeptViews | None:
    """How the actor left a study, in one query; None for who keeps no views. One that an earlier version of the
    platform kept and that makes no sense any more is left out."""
    if not allowed(actor, "view.keep", study):
        return None
    kept = ReadingView.objects.filter(user=actor.user, study=study).values_list("instance_id", "state")
    stage: StageView | None = None
    images: dict[str, ImageView] = {}
    for image, state in kept:
        try:
            if image is None:
                stage = StageView.model_validate(state)
            else:
                images[str(image)] = ImageView.model_validate(state)
        except ValidationError:
            continue
    return KeptViews(stage=stage, images=images)


def _parsed(kind: type[_State], text: str) -> _State:
    try:
        if len(text) > LONGEST:
            raise ValueError
        return kind.model_validate_json(text)
    except ValueError:  # pydantic's own is one
        raise Invalid(_("This is no view that can be kept.")) from None


def _keep(actor: Actor, study: Study, image: Instance | None, state: Answer) -> None:
    require(actor, "view.keep", study)
    if study.withdrawn_at is not None:
        raise Conflict(_("The study is withdrawn."))
    ReadingView.objects.update_or_create(
        user=actor.user,
        study=study,
        instance=image,
        defaults={"state": state.as_json(), "kept_at": timezone.now()},
    )
