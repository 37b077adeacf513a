"""Versions of a site's data sets: made of what is signed and consented to now, and never changed afterwards."""

from __future__ import annotations

import secrets
import uuid
from typing import cast

from django.db import transaction
from django.db.models import Count, Max, QuerySet
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.learning.consent import consenting
from cad_platform.learning.gathering import can_be_gathered, gather
from cad_platform.learning.models import DatasetItem, DatasetVersion

#: As `DatasetVersion` declares them.
_COUNTS = {"images": Count("items"), "patients": Count("items__subject", distinct=True)}


def site_of(actor: Actor) -> Site:
    """The actor's own site. Raises `NotFound`."""
    site = None if actor.site_id is None else Site.objects.filter(pk=actor.site_id).first()
    if site is None:
        raise NotFound(_("There is no such site."))
    return site


@transaction.atomic
def make(actor: Actor, site: Site, modality: str) -> DatasetVersion:
    """Make the next version of a site's data set of a modality.

    Raises
    ------
    NotFound, NotPermitted
        The site is another; the role makes none.
    Invalid
        Images of this modality cannot be learned from.
    Conflict
        `nothing_to_learn`: no signed study of a patient who consents; or `unchanged`: nothing is otherwise than in the
        version before.
    """
    require(actor, "dataset.make", DatasetVersion(site=site))
    if not can_be_gathered(modality):
        raise Invalid(
            _("The version was not made."),
            errors=(FieldError(_("Images of this kind cannot be learned from."), "modality"),),
        )
    # One after the other: numbers, and pseudonyms of patients who are new in both.
    Site.objects.select_for_update(no_key=True).get(pk=site.pk)
    gathered, left_out = gather(site, modality)
    if not gathered:
        raise Conflict(
            _("There is nothing to learn from: no signed study of a patient who consents."),
            code="nothing_to_learn",
        )
    of_set = DatasetVersion.objects.filter(site=site, modality=modality)
    number = (of_set.aggregate(last=Max("number"))["last"] or 0) + 1
    version = DatasetVersion.objects.create(
        site=site, modality=modality, number=number, made_by=actor.user, left_out=dict(sorted(left_out.items()))
    )  # fmt: skip
    subjects = _subjects(site, {each.study.patient_id for each in gathered if each.study.patient_id})
    items = [
        DatasetItem(
            version=version, patient=each.study.patient, study=each.study, instance=each.instance,
            file_sha256=each.instance.file_id, report=each.report, report_version=each.report_version,
            reader_role=each.report.signature.role, subject=subjects[cast(uuid.UUID, each.study.patient_id)],
            name=f"image-{count:06d}", label=each.label, label_from=each.label_from, side=each.side,
            view=each.view[:16], assessment=each.assessment, findings=each.findings,
        )
        for count, each in enumerate(gathered, start=1)
    ]  # fmt: skip
    before = of_set.filter(number=number - 1).first()
    if before is not None and _content(list(before.items.all())) == _content(items):
        raise Conflict(
            _("Nothing is otherwise than in version %(number)d.") % {"number": number - 1}, code="unchanged"
        )
    DatasetItem.objects.bulk_create(items)
    record(
        actor, "dataset.make", object_type="dataset_version", object_id=version.pk, site_id=site.pk,
        modality=modality, number=number, images=len(items), patients=len(set(subjects.values())),
    )  # fmt: skip
    return version


def versions(actor: Actor) -> QuerySet[DatasetVersion]:
    """Those that the actor may see, the latest first, with how many `images` and `patients` each has; of administrators
    every site's. Raises `NotPermitted`."""
    require(actor, "dataset.view")
    found = DatasetVersion.objects.select_related("site", "made_by")
    if actor.site_id is not None:  # administrators have none
        found = found.filter(site_id=actor.site_id)
    return found.annotate(**_COUNTS).order_by("-made_at", "pk")


def version_by_id(actor: Actor, version_id: uuid.UUID) -> DatasetVersion:
    """One version. Raises `NotFound` or `NotPermitted`."""
    found = versions(actor).filter(pk=version_id).first()
    if found is None:
        raise NotFound(_("There is no such version of a data set."))
    return found


def labels(version: DatasetVersion) -> dict[str, int]:
    """Label → images."""
    rows = version.items.order_by("label").values_list("label").annotate(count=Count("pk"))
    return dict(rows)


def withdrawn(version: DatasetVersion) -> int:
    """How many patients of a version no longer consent, or were erased: nothing is exported of it any more."""
    patients = dict(version.items.order_by().values_list("patient_id", "subject").distinct())
    may = consenting(patients.keys())
    return len({subject for patient, subject in patients.items() if patient not in may})


def _content(items: list[DatasetItem]) -> list[tuple[object, ...]]:
    """What makes two versions different."""
    return [
        (
            each.instance_id,
            each.file_sha256,
            each.report_id,
            each.label,
            each.side,
            each.assessment,
            each.findings,
        )
        for each in items
    ]


def _subjects(site: Site, patients: set[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Patient → pseudonym: the one that earlier versions of the site gave, or a new one drawn at random, which no key
    leads back from."""
    known: dict[uuid.UUID, str] = dict(
        DatasetItem.objects.filter(version__site=site, patient__in=patients)
        .order_by("patient", "-pk")
        .distinct("patient")
        .values_list("patient_id", "subject")
    )
    return {key: known.get(key) or f"s-{secrets.token_hex(5)}" for key in sorted(patients)}
