"""Images that an earlier version took in, described as this one describes them: their side, view, orientation and scale
come from everything that their headers say. The bytes are the same; what was posted of them stays."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction

from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.studies import corrections, storage
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.received import one_number
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.services import lock_study
from cad_platform.studies.sides import with_post_claim
from cad_platform.studies.sorting import SortedImage
from imaging import sandbox
from imaging.description import Description, ImageFacts
from imaging.dicom_views import spelled
from imaging.errors import ImagingError

_REASON = "Described again by a newer version"


@dataclass(frozen=True)
class Outcome:
    """What came of one study."""

    study: str
    images: int
    changed: bool
    """Whether anything that counts is different now: then it is a new version, and analysed again."""
    unread: int
    """Images whose file could not be read now; they stay as they are."""


def describe_again(actor: Actor) -> Iterator[Outcome]:
    """Every study with images of which nothing is known; one transaction each, safe to repeat."""
    of_old = Instance.objects.filter(facts={}, active=True, kind=Instance.Kind.DICOM)
    studies = Study.objects.filter(withdrawn_at__isnull=True, series__instances__in=of_old).distinct()
    for study_id in list(studies.order_by("received_at").values_list("pk", flat=True)):
        outcome = _one_study(actor, study_id)
        if outcome is not None:
            yield outcome


def _one_study(actor: Actor, study_id: uuid.UUID) -> Outcome | None:
    # Files are read before the study is locked: whoever reads it waits for rows alone.
    found: dict[uuid.UUID, Description] = {}
    images = Instance.objects.filter(series__study=study_id, facts={}, active=True, kind=Instance.Kind.DICOM)
    for instance in images:
        try:
            with storage.open(instance.file_id) as path:
                found[instance.pk] = sandbox.describe(path)
        except (ImagingError, PlatformError):
            continue
    with transaction.atomic():
        study = lock_study(study_id)
        if study is None or study.withdrawn_at is not None:
            return None
        before = sorted_images(study)
        for instance in Instance.objects.filter(pk__in=found, facts={}):
            _take_over(instance, found[instance.pk])
        changed = list(_differences(before, sorted_images(study)))
        if changed:
            corrections.described_again(actor, study, changed, _REASON)
    return Outcome(study.study_instance_uid, len(found), bool(changed), len(images) - len(found))


def _take_over(instance: Instance, description: Description) -> None:
    """What the file says by now, under what was posted of it."""
    facts = description.facts
    if instance.pixel_spacing_source == "study part" and instance.pixel_spacing_um:
        both = instance.pixel_spacing_um, instance.pixel_spacing_um
        facts = facts.model_copy(update={"spacing_um": both, "regions": (), "scale_remarks": ()})
    else:
        instance.pixel_spacing_um = one_number(facts)
        instance.pixel_spacing_source = (description.pixel_spacing_source or "")[:40]
    header = description.header
    said_by_header = header.laterality if header else None
    if instance.laterality and instance.laterality != said_by_header:
        facts = with_post_claim(facts, instance.laterality)
    elif not instance.laterality and said_by_header in ("L", "R"):
        instance.laterality = said_by_header or ""
    said = spelled(instance.view_position) if instance.view_position else None
    if said is not None and said.view:
        instance.view_position = said.view
    elif not instance.view_position and header and header.view_position:
        instance.view_position = header.view_position[:16]
    instance.facts = facts.model_dump(mode="json", exclude_defaults=True)
    instance.save()


def _differences(
    before: list[SortedImage], after: list[SortedImage]
) -> Iterator[tuple[Instance, str, str, str]]:
    """Image, field, old and new of everything that the models and the readers are given otherwise."""
    now = {image.instance.pk: image for image in after}
    for old in before:
        new = now[old.instance.pk]
        for name, was, is_ in (
            ("laterality", old.side.laterality, new.side.laterality),
            ("view", " ".join((old.view, *old.modifiers)), " ".join((new.view, *new.modifiers))),
            ("roles", " ".join(old.roles), " ".join(new.roles)),
            ("pixel_spacing_um", _scale(old.facts, old.instance), _scale(new.facts, new.instance)),
        ):
            if was != is_:
                yield new.instance, name, was, is_


def _scale(facts: ImageFacts, instance: Instance) -> str:
    spacing = instance.spacing_um
    parts = [f"{spacing[0]:.4g} × {spacing[1]:.4g}"] if spacing else []
    return "; ".join([*parts, *(f"{region.spacing_um}" for region in facts.regions if region.spacing_um)])
