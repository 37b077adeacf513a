"""What a reader measured and pointed at, for the panel's list and for the viewers; no HTTP, no queries."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.utils.translation import gettext as _

from cad_platform.reading import wording
from cad_platform.reading.models import Annotation
from cad_platform.reading.view_answers import CaseAnnotation


@dataclass(frozen=True)
class AnnotationView:
    """A line of the list. `name` says where and what: "L CC · 12.3 mm"."""

    id: str
    name: str
    note: str
    author: str
    is_own: bool
    in_report: bool
    answer: CaseAnnotation


def annotation_views(
    annotations: Iterable[Annotation], user: Any, image_names: Mapping[uuid.UUID, str]
) -> list[AnnotationView]:
    """In the order of their making, in the language in use. `user` is who looks."""
    return [_view(each, user, image_names.get(each.instance_id, "")) for each in annotations]


def annotation_answer(annotation: Annotation, user: Any) -> CaseAnnotation:
    """One for the viewers."""
    is_own = annotation.author_id == user.pk
    return CaseAnnotation(
        id=str(annotation.pk),
        image=str(annotation.instance_id),
        frame=annotation.frame,
        kind=cast(Any, annotation.kind),
        points=cast(Any, annotation.points),
        note=annotation.note,
        words=length_of(annotation),
        author="" if is_own else annotation.author.printed_name,
        in_report=annotation.in_report,
        revision=annotation.revision,
        removed=annotation.withdrawn_at is not None,
    )


def length_of(annotation: Annotation) -> str:
    """How long a length is, by the scale that holds from one end to the other; empty for an arrow."""
    if annotation.kind != Annotation.Kind.LENGTH:
        return ""
    return wording.length_words(annotation.points, annotation.instance.spacing_in(extent_of(annotation)))


def extent_of(annotation: Annotation) -> tuple[float, float, float, float]:
    """The box around its points."""
    (x0, y0), (x1, y1) = annotation.points
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _view(annotation: Annotation, user: Any, image: str) -> AnnotationView:
    answer = annotation_answer(annotation, user)
    frame = "" if annotation.frame is None else _("frame %(frame)d") % {"frame": annotation.frame + 1}
    what = answer.words or str(Annotation.Kind(annotation.kind).label)
    return AnnotationView(
        id=answer.id,
        name=" · ".join(part for part in (image, frame, what) if part),
        note=annotation.note,
        author=answer.author,
        is_own=annotation.author_id == user.pk,
        in_report=annotation.in_report,
        answer=answer,
    )
