"""Images that an earlier version took in, described as this one describes them: their kind, side, view, orientation and
scale come from everything that their files say. The bytes are the same; what was posted of them stays.

The rows say by which rules they were described (`imaging.description.RULES`); housekeeping works through those of older
ones in slices, so that an update needs nobody's hand.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from cad_platform import modalities
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.studies import corrections, slides, storage
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.received import one_number
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.services import lock_study
from cad_platform.studies.sides import POST, with_post_claim
from cad_platform.studies.sorting import SortedImage
from imaging import sandbox
from imaging.description import RULES, Description, ImageFacts
from imaging.dicom_views import spelled
from imaging.errors import DecoderUnavailable, ImagingError

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


def describe_again(actor: Actor, seconds: float = math.inf) -> Iterator[Outcome]:
    """Every study with images that older rules described; one transaction each, safe to repeat and twice at once.

    Parameters
    ----------
    seconds
        No further study is begun after so long.
    """
    end = time.monotonic() + seconds
    studies = Study.objects.filter(withdrawn_at__isnull=True, series__instances__in=_of_old()).distinct()
    for study_id in list(studies.order_by("received_at").values_list("pk", flat=True)):
        if time.monotonic() >= end:
            return
        outcome = _one_study(actor, study_id)
        if outcome is not None:
            yield outcome


def _of_old() -> QuerySet[Instance]:
    return Instance.objects.filter(described_by__lt=RULES, active=True)


def _one_study(actor: Actor, study_id: uuid.UUID) -> Outcome | None:
    # Files are read before the study is locked: whoever reads it waits for rows alone.
    found: dict[uuid.UUID, Description | None] = {}
    images = list(_of_old().filter(series__study=study_id))
    for instance in images:
        try:
            with storage.open(instance.file_id) as path:
                found[instance.pk] = sandbox.describe(path)
        except (DecoderUnavailable, PlatformError):
            continue  # not now
        except ImagingError:
            found[instance.pk] = None  # not by these rules: it stays as it is
    with transaction.atomic():
        study = lock_study(study_id)
        if study is None or study.withdrawn_at is not None:
            return None
        before = sorted_images(study)
        for instance in _of_old().filter(pk__in=found).select_related("series", "slide"):
            description = found[instance.pk]
            if description is not None:
                _take_over(instance, description)
            instance.described_by = RULES
            instance.save()
        changed = list(_differences(before, sorted_images(study)))
        if changed:
            corrections.described_again(actor, study, changed, _REASON)
    read = sum(description is not None for description in found.values())
    return Outcome(study.study_instance_uid, read, bool(changed), len(images) - read)


def _take_over(instance: Instance, description: Description) -> None:
    """What the file says by now, under what was posted of it."""
    facts, before = description.facts, instance.image_facts
    if facts.spacing_um is None and not facts.regions:
        facts = facts.model_copy(update={"spacing_um": description.pixel_spacing_um})
    if description.kind != instance.kind:
        _become(instance, description)
    if description.slide is not None and instance.kind == Instance.Kind.SLIDE:
        slides.keep_geometry(instance, description.slide)
    if instance.pixel_spacing_source == "study part" and instance.pixel_spacing_um:
        both = instance.pixel_spacing_um, instance.pixel_spacing_um
        facts = facts.model_copy(update={"spacing_um": both, "regions": (), "scale_remarks": ()})
    else:
        instance.pixel_spacing_um = one_number(facts)
        instance.pixel_spacing_source = (description.pixel_spacing_source or "")[:40]
    header = description.header
    said_by_header = header.laterality if header else None
    if any(claim.source == POST for claim in before.side_claims) or (
        instance.laterality and instance.laterality != said_by_header
    ):
        facts = with_post_claim(facts, instance.laterality)
    elif not instance.laterality and said_by_header in ("L", "R"):
        instance.laterality = said_by_header or ""
    said = spelled(instance.view_position) if instance.view_position else None
    # The sender's, who may know of an implant what no header says.
    if modifiers := before.view_modifiers or (said.modifiers if said is not None else ()):
        facts = facts.model_copy(update={"view_modifiers": modifiers})
    if said is not None and said.view:
        instance.view_position = said.view
    elif not instance.view_position and header and header.view_position:
        instance.view_position = header.view_position[:16]
    instance.facts = facts.model_dump(mode="json", exclude_defaults=True)


def _become(instance: Instance, description: Description) -> None:
    """A picture that is a slide by now, where its modality has such: pyramids that no version before knew."""
    if description.kind not in modalities.get(instance.series.modality).file_kinds:
        return
    instance.kind = description.kind
    instance.rows, instance.columns, instance.frames = (
        description.rows,
        description.columns,
        description.frames,
    )
    instance.samples, instance.bits_stored = description.samples, description.bits_stored


def _differences(
    before: list[SortedImage], after: list[SortedImage]
) -> Iterator[tuple[Instance, str, str, str]]:
    """Image, field, old and new of everything that the models and the readers are given otherwise."""
    now = {image.instance.pk: image for image in after}
    for old in before:
        new = now.get(old.instance.pk)
        if new is None:  # part of a slide by now, which is one image
            yield old.instance, "roles", " ".join(old.roles), ""
            continue
        for name, was, is_ in (
            ("kind", old.instance.kind, new.instance.kind),
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
