"""Lengths and arrows that readers draw: kept as they are drawn, the reader's own until they are put into the report.

The browser sends the whole state of one with a revision that it counts, so that whatever is sent twice, late or out of
order ends in the newest state. What is in the report is as fixed as a decision: it changes only while the case is open.
"""

from __future__ import annotations

import math
import uuid

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from pydantic import ValidationError

from cad_platform.accounts.rules import allowed, require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.reading.case_state import is_open_for_decisions, lock_case, lock_open_case
from cad_platform.reading.models import Annotation
from cad_platform.reading.view_answers import AnnotationDrawn
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.selectors import image as image_of
from cad_platform.studies.typed_text import cleaned

#: Of one reader in one study, and in the report of a study.
MOST_DRAWN = 300
MOST_REPORTED = 60
LONGEST_NOTE = 200
LONGEST = 4000


def parsed(text: str) -> AnnotationDrawn:
    """What the browser sent. Raises `Invalid`."""
    try:
        if len(text) > LONGEST:
            raise ValueError
        return AnnotationDrawn.model_validate_json(text)
    except ValueError as error:
        fields = (
            [".".join(map(str, item["loc"])) for item in error.errors()]
            if isinstance(error, ValidationError)
            else []
        )
        raise Invalid(
            _("This is no measurement that can be kept."),
            errors=tuple(FieldError(_("not valid"), field=name) for name in fields),
        ) from None


@transaction.atomic
def keep(actor: Actor, study: Study, annotation_id: uuid.UUID, drawn: AnnotationDrawn) -> Annotation:
    """Keep what the actor drew, moved, noted, took away or brought back.

    Returns
    -------
    Annotation
        As it stands now: the stored one where its revision is at least as new as the one that came.

    Raises
    ------
    NotFound, NotPermitted
        The study or image is another site's, the annotation another reader's, or the actor draws none.
    Invalid
        The image, frame or points do not fit, the note is too long, or there are too many.
    Conflict
        The study is withdrawn or quarantined; or the annotation is in a signed report.
    """
    require(actor, "annotation.draw", study)
    image = _image(actor, study, drawn)
    study = lock_case(study.pk)
    if study.withdrawn_at is not None:
        raise Conflict(_("The study is withdrawn."))
    if study.state == Study.State.QUARANTINED:
        raise Conflict(_("The study is quarantined."))
    stored = Annotation.objects.select_for_update().filter(pk=annotation_id).first()
    if stored is None:
        return _made(actor, study, image, annotation_id, drawn)
    if stored.author_id != actor.user.pk or stored.study_id != study.pk:
        raise NotFound(_("There is no such measurement."))
    if drawn.revision <= stored.revision:
        return stored
    if stored.kind != drawn.kind or stored.instance_id != image.pk:
        raise Invalid(_("A measurement stays on its image."))
    if stored.reported_by_id is not None and not is_open_for_decisions(study):
        raise Conflict(_("The measurement is in a signed report. Begin an addendum to change it."))
    was_removed = stored.withdrawn_at is not None
    stored.points, stored.note = _points(drawn, image), _note(drawn)
    stored.frame, stored.revision = _frame(drawn, image), drawn.revision
    stored.changed_at = timezone.now()
    stored.withdrawn_at = stored.changed_at if drawn.removed else None
    stored.save()
    if drawn.removed == was_removed:
        _record(actor, "annotation.change", stored, study)
    else:
        _record(actor, "annotation.remove" if drawn.removed else "annotation.bring_back", stored, study)
    return stored


@transaction.atomic
def report(actor: Actor, study: Study, annotation_id: uuid.UUID, *, in_report: bool) -> Annotation:
    """Put what the actor sees on the images into the report, or take it out.

    Raises
    ------
    NotFound, NotPermitted
        There is none that the actor sees, or the actor drafts no reports of this study.
    Invalid
        The report holds as many as it can.
    Conflict
        The report is signed and no addendum begun, or the study is withdrawn or quarantined.
    """
    require(actor, "report.draft", study)
    study = lock_open_case(study.pk)
    stored = seen_by(actor, study).select_for_update(of=("self",)).filter(pk=annotation_id).first()
    if stored is None:
        raise NotFound(_("There is no such measurement."))
    if stored.in_report == in_report:
        return stored
    if in_report and reported(study).count() >= MOST_REPORTED:
        raise Invalid(_("The report holds at most %(most)d measurements.") % {"most": MOST_REPORTED})
    stored.reported_by = actor.user if in_report else None
    stored.changed_at = timezone.now()
    stored.save(update_fields=["reported_by", "changed_at"])
    _record(actor, "annotation.report" if in_report else "annotation.unreport", stored, study)
    return stored


# --- what is seen -----------------------------------------------------------------------------------------


def seen_by(actor: Actor, study: Study) -> QuerySet[Annotation]:
    """The actor's own and those in the report, without what was taken away, in the order of their making."""
    return Annotation.objects.filter(study=study, withdrawn_at__isnull=True).filter(
        Q(author=actor.user) | Q(reported_by__isnull=False)
    )


def annotations_of(actor: Actor, study: Study) -> list[Annotation]:
    """What the actor sees on the images of a study, in one query."""
    require(actor, "study.view", study)
    return list(seen_by(actor, study).select_related("instance", "author"))


def reported(study: Study) -> QuerySet[Annotation]:
    """Those in the report of a study, in the order of their making."""
    return Annotation.objects.filter(
        study=study, withdrawn_at__isnull=True, reported_by__isnull=False
    ).select_related("instance", "author")


def may_draw(actor: Actor, study: Study) -> bool:
    """For showing the tools; `keep` asks again."""
    is_there = study.withdrawn_at is None and study.state != Study.State.QUARANTINED
    return is_there and allowed(actor, "annotation.draw", study)


# --- what is kept -----------------------------------------------------------------------------------------


def _made(
    actor: Actor, study: Study, image: Instance, annotation_id: uuid.UUID, drawn: AnnotationDrawn
) -> Annotation:
    own = Annotation.objects.filter(study=study, author=actor.user, withdrawn_at__isnull=True)
    if own.count() >= MOST_DRAWN:
        raise Invalid(_("There are too many measurements in this study; delete some first."))
    made = Annotation.objects.create(
        id=annotation_id,
        study=study,
        instance=image,
        author=actor.user,
        frame=_frame(drawn, image),
        kind=drawn.kind,
        points=_points(drawn, image),
        note=_note(drawn),
        revision=drawn.revision,
        # One that was taken away before the server heard of it is still on record.
        withdrawn_at=timezone.now() if drawn.removed else None,
    )
    _record(actor, "annotation.draw", made, study)
    return made


def _record(actor: Actor, action: str, annotation: Annotation, study: Study) -> None:
    record(
        actor,
        action,
        object_type="annotation",
        object_id=annotation.pk,
        site_id=study.site_id,
        study=str(study.pk),
        kind=annotation.kind,
        revision=annotation.revision,
    )


def _image(actor: Actor, study: Study, drawn: AnnotationDrawn) -> Instance:
    try:
        image = image_of(actor, uuid.UUID(drawn.image))
    except ValueError:
        raise Invalid(_("There is no such image.")) from None
    if image.series.study_id != study.pk:
        raise Invalid(_("The image belongs to another study."))
    return image


def _frame(drawn: AnnotationDrawn, image: Instance) -> int | None:
    if drawn.frame is not None and drawn.frame >= image.frames:
        raise Invalid(_("The image has no such frame."))
    return drawn.frame if image.frames > 1 else None


def _points(drawn: AnnotationDrawn, image: Instance) -> list[list[float]]:
    """The two points cut to the image, apart from one another."""
    points = [
        [round(min(max(x, 0.0), float(image.columns)), 2), round(min(max(y, 0.0), float(image.rows)), 2)]
        for x, y in drawn.points
    ]
    if math.dist(*points) <= 0:
        raise Invalid(
            _("The two points of a measurement must lie apart, in the image."),
            errors=(FieldError(_("not inside the image"), field="points"),),
        )
    return points


def _note(drawn: AnnotationDrawn) -> str:
    note = " ".join(cleaned(drawn.note).split())
    if len(note) > LONGEST_NOTE:
        raise Invalid(
            _("The note may have at most %(longest)d characters.") % {"longest": LONGEST_NOTE},
            errors=(FieldError(_("too long"), field="note"),),
        )
    return note
