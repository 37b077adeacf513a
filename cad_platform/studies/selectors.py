"""What an actor may read of studies and images: those of the actor's site, and nothing else exists."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound
from cad_platform.patients.selectors import known_as, named
from cad_platform.studies import slides
from cad_platform.studies.file_words import object_words
from cad_platform.studies.models import (
    Instance,
    QuarantinedFile,
    SideConfirmation,
    Study,
    StudyCorrection,
)
from cad_platform.studies.sides import Side
from cad_platform.studies.sorting import SortedImage, side_of_one, sort_images
from imaging.identity import is_uid, without_padding


def studies_for(actor: Actor) -> QuerySet[Study]:
    """The studies of the actor's site with their patients, withdrawn and quarantined ones included."""
    require(actor, "study.list")
    assert actor.site_id is not None  # the permission admits nobody without a site
    here = Study.objects.filter(site_id=actor.site_id, erased_at__isnull=True)
    return here.select_related("patient", "site")


def study_by_uid(actor: Actor, study_instance_uid: str) -> Study:
    """The study with this UID at the actor's site; the one that is not withdrawn, else the latest.

    Raises
    ------
    NotFound
        There is none at the site.
    NotPermitted
        The role or token may not read studies.
    """
    require(actor, "study.view")
    return _by_uid(actor, study_instance_uid)


def study_to_complete(actor: Actor, study_instance_uid: str) -> Study:
    """The same for who sends studies, and may not be allowed to read them."""
    require(actor, "study.receive")
    return _by_uid(actor, study_instance_uid)


def _by_uid(actor: Actor, study_instance_uid: str) -> Study:
    assert actor.site_id is not None
    # Whatever stands in an address: NUL, for one, is no question to ask a database.
    uid = without_padding(study_instance_uid)
    study = is_uid(uid) and (
        Study.objects.filter(site_id=actor.site_id, study_instance_uid=uid, erased_at__isnull=True)
        .select_related("patient", "site", "withdrawn_by")
        .order_by(F("withdrawn_at").desc(nulls_first=True))
        .first()
    )
    if not study:
        raise NotFound(_("There is no such study at your site."))
    return study


def stored_images(study: Study) -> list[Instance]:
    """Every file of a study that is an image or a part of a slide, with series, slide and file."""
    return list(
        Instance.objects.filter(series__study=study)
        .select_related("series", "slide", "file")
        .order_by(F("series__number").asc(nulls_last=True), "number", "series_id", "sop_instance_uid")
    )


def sorted_images(study: Study, stored: Sequence[Instance] | None = None) -> list[SortedImage]:
    """The images of a study in hanging order, each with what is to be done with it (`studies.sorting`): the one order
    in which models, pages, answers and reports count them. A slide is one image, whatever number of files it has
    (`studies.slides`).

    Parameters
    ----------
    stored
        `stored_images` of the study, where they are known.
    """
    found = stored_images(study) if stored is None else stored
    confirmed = (
        SideConfirmation.objects.filter(instance__series__study=study)
        .select_related("by")
        .order_by("at", "pk")
    )
    newest = {each.instance_id: each for each in confirmed}
    return sort_images(study.modalities or [study.modality], slides.arrange(found), newest)


def images_in_order(study: Study) -> list[Instance]:
    """`sorted_images` without what is said of them."""
    return [image.instance for image in sorted_images(study)]


def images_of(actor: Actor, study: Study, stored: Sequence[Instance] | None = None) -> list[SortedImage]:
    """The study's images in hanging order, with series, slide and file (`sorted_images`)."""
    require(actor, "study.view", study)
    return sorted_images(study, stored)


def image(actor: Actor, image_id: uuid.UUID) -> Instance:
    """One image of the actor's site, with its study, file and slide.

    Raises
    ------
    NotFound
        There is none at the site.
    NotPermitted
        The role or token may not see images.
    """
    require(actor, "image.view")
    assert actor.site_id is not None
    found = (
        Instance.objects.filter(pk=image_id, site_id=actor.site_id, series__study__erased_at__isnull=True)
        .select_related("series__study__patient", "file", "slide")
        .first()
    )
    if found is None:
        raise NotFound(_("There is no such image at your site."))
    return found


def side_of_image(instance: Instance) -> Side:
    """The side that counts, of an image that was opened (`image`)."""
    study = instance.series.study
    newest = instance.side_confirmations.select_related("by").order_by("at", "pk").last()
    return side_of_one(study.modalities or [study.modality], instance, newest)


def quarantined_files_of(actor: Actor, study: Study) -> list[QuarantinedFile]:
    """Files set aside because they claimed the UID of one of the study's images with other bytes."""
    require(actor, "study.view", study)
    return list(study.quarantined_files.select_related("file").order_by("received_at"))


@dataclass(frozen=True)
class KeptFile:
    """A file of a study that is neither shown nor analysed: `what` it is in words, and a word for programs why."""

    file_name: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    what: str
    reason: str
    file_id: str
    received_at: datetime

    @property
    def words(self) -> str:
        """`what` in the language in use."""
        return object_words(self.what)


def kept_aside_of(actor: Actor, study: Study, stored: Sequence[Instance] | None = None) -> list[KeptFile]:
    """The study's files that are no images here, as they came; and the labels, overviews and thumbnails of its
    slides. `stored` as of `sorted_images`."""
    require(actor, "study.view", study)
    kept = [
        KeptFile(
            each.file_name,
            each.sop_instance_uid,
            each.sop_class_uid,
            each.modality,
            each.what,
            each.reason,
            each.file_id,
            each.received_at,
        )
        for each in study.kept_aside.all()
    ]
    parts = sorted(
        stored_images(study) if stored is None else stored,
        key=lambda each: (each.received_at or study.received_at, each.number or 0, each.pk),
    )
    return kept + [
        KeptFile(
            each.file_name,
            each.sop_instance_uid,
            each.sop_class_uid,
            each.series.modality,
            f"{role} of a slide",
            role,
            each.file_id,
            each.received_at or study.received_at,
        )
        for each in parts
        if (role := slides.kept_back_role(each.image_facts))
    ]


def corrections_of(actor: Actor, study: Study) -> list[StudyCorrection]:
    """What was put right of the study, and its returns after a withdrawal, oldest first."""
    require(actor, "study.view", study)
    return list(study.corrections.select_related("by"))


def received_images(actor: Actor, study: Study, made: Sequence[Instance] = ()) -> list[Instance]:
    """The images of a study as its sender may know them: also with a token that may post but not read. `made`: all of
    them, where they were stored just now."""
    require(actor, "study.receive", study)
    images: Iterable[Instance] = sorted(made, key=lambda each: (each.file_name, each.pk))
    if not made:
        images = Instance.objects.filter(series__study=study).order_by("file_name", "id")
    return [each for each in images if not slides.is_kept_back(each)]


def of_modality(code: str) -> Q:
    """As a condition on studies: one of their images is of this modality."""
    return Q(modality=code) | Q(modalities__contains=[code])


def matching(
    studies: QuerySet[Study],
    *,
    modality: str | None = None,
    priority: str | None = None,
    accession_number: str | None = None,
    received_after: datetime | None = None,
    received_before: datetime | None = None,
    withdrawn: bool | None = None,
) -> QuerySet[Study]:
    """Those that match every criterion given. `received_before` is exclusive."""
    equal = {"priority": priority, "accession_number": accession_number}
    studies = studies.filter(**{name: value for name, value in equal.items() if value is not None})
    if modality is not None:
        studies = studies.filter(of_modality(modality))
    if received_after is not None:
        studies = studies.filter(received_at__gte=received_after)
    if received_before is not None:
        studies = studies.filter(received_at__lt=received_before)
    if withdrawn is not None:
        studies = studies.filter(withdrawn_at__isnull=not withdrawn)
    return studies


def of_patient(
    studies: QuerySet[Study],
    *,
    patient_id: str = "",
    issuers: Collection[str] | None = None,
    name: str = "",
    birth_date: date | None = None,
) -> QuerySet[Study]:
    """Those of the patients with this id, of one of these issuers (`patients.services.issuers_at`), born on this day,
    whose name has every one of these words."""
    if patient_id:
        studies = studies.filter(known_as(patient_id, issuers))
    elif issuers is not None:
        studies = studies.filter(patient__issuer__in=issuers)
    if name:
        studies = studies.filter(named(name))
    if birth_date is not None:
        studies = studies.filter(patient__birth_date=birth_date)
    return studies
