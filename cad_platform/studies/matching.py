"""What is known already of the files of a post: which study they belong to, and what is to be done with each.

Nothing here writes. Called by `studies.services.receive` inside its transaction, behind the locks that put posts in a
row.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet

from cad_platform.core.errors import FileOutcome, FileStatus
from cad_platform.patients.selectors import known_as
from cad_platform.patients.services import issuers_at
from cad_platform.studies import slides
from cad_platform.studies.models import Instance, KeptAside, Series, Study
from cad_platform.studies.received import ReceivedImage, ReceivedObject, ReceivedStudy

Known = dict[str, Instance]
"""SOP Instance UID → the image that has it at the site."""

OTHER_BYTES = "The SOP Instance UID is known with other bytes."
OTHER_PATIENT = "The SOP Instance UID is known for another patient."


@dataclass
class Verdict:
    """What is to be done with one file of a post: an image or an object that is none."""

    place: int
    name: str
    sha256: str
    status: FileStatus
    reason: str = ""
    image: ReceivedImage | None = None
    object: ReceivedObject | None = None
    existing: Instance | None = None
    """The image that is there already, or that this file clashes with; once stored, its own."""
    clashes_within: str = ""
    """The SOP Instance UID of an image of the same post that came before it with other bytes."""

    @property
    def is_new(self) -> bool:
        return self.status in {"stored", "kept_aside"}

    @property
    def outcome(self) -> FileOutcome:
        uid = ""
        if self.image is not None:
            uid = self.existing.sop_instance_uid if self.existing else self.image.sop_instance_uid
        elif self.object is not None:
            uid = self.object.header.sop_instance_uid or ""
        if self.image is not None and self.status == "stored":
            role = slides.kept_back_role(self.image.facts)
            if role:
                return FileOutcome(self.name, "kept_aside", f"{role} of a slide", uid)
        of_image = self.existing is not None and self.status in {"stored", "duplicate"}
        return FileOutcome(
            self.name, self.status, self.reason, uid, self.existing.pk if of_image and self.existing else None
        )


def is_unknown(site_id: int, received: ReceivedStudy) -> bool:
    """Whether the site knows nothing that the post names, no study and no image, withdrawn ones included: as mostly.
    Then the searches below would find nothing; one statement by four indexes costs a tenth of them."""
    uids = [image.sop_instance_uid for image in received.images if not image.minted]
    study_uid = received.study_instance_uid if received.uid_given else None
    # What brings no UIDs at all may be known by its bytes.
    bare = not received.uid_given and not uids
    hashes = [image.file.sha256 for image in received.images] if bare else []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT EXISTS (SELECT 1 FROM studies_instance
                           WHERE active AND site_id = %(site)s AND sop_instance_uid = ANY (%(uids)s))
                OR EXISTS (SELECT 1 FROM studies_instance
                           WHERE NOT active AND site_id = %(site)s AND sop_instance_uid = ANY (%(uids)s))
                OR EXISTS (SELECT 1 FROM studies_study WHERE withdrawn_at IS NULL
                           AND site_id = %(site)s AND study_instance_uid = %(study)s)
                OR EXISTS (SELECT 1 FROM studies_study WHERE withdrawn_at IS NOT NULL
                           AND site_id = %(site)s AND study_instance_uid = %(study)s)
                OR EXISTS (SELECT 1 FROM studies_instance
                           WHERE site_id = %(site)s AND file_id = ANY (%(hashes)s))
            """,
            {"site": site_id, "uids": uids, "study": study_uid, "hashes": hashes},
        )
        return not cursor.fetchone()[0]


def known_images(site_id: int, received: ReceivedStudy) -> Known:
    """The site's images that have a SOP Instance UID of the post."""
    found = Instance.objects.filter(
        site_id=site_id,
        active=True,
        sop_instance_uid__in=[image.sop_instance_uid for image in received.images if not image.minted],
    ).select_related("series__study__patient")
    return {instance.sop_instance_uid: instance for instance in found}


def study_of(site_id: int, received: ReceivedStudy, known: Known) -> Study | None:
    """The study that a post speaks of: one that is not withdrawn, else the withdrawn one that it brings back."""
    study = _same_study(site_id, received, known)
    return study if study is not None or known else _withdrawn_study(site_id, received)


def _same_study(site_id: int, received: ReceivedStudy, known: Known) -> Study | None:
    """The study, not withdrawn, that a post speaks of: by its images where all are known, by its UID, or, where the
    post brings no UIDs at all, by patient, accession number and files."""
    here = Study.objects.filter(site_id=site_id, withdrawn_at__isnull=True).select_related("patient")
    of_images = {instance.series.study_id: instance.series.study for instance in known.values()}
    if len(of_images) == 1 and all(
        _is_the_same(image, known.get(image.sop_instance_uid)) for image in received.images
    ):
        return next(iter(of_images.values()))
    if received.uid_given:
        return here.filter(study_instance_uid=received.study_instance_uid).first()
    if len(of_images) == 1:
        return next(iter(of_images.values()))
    return None if known else _with_all_files(site_id, here, received)


def _is_the_same(image: ReceivedImage, stored: Instance | None) -> bool:
    return stored is not None and stored.file_id == image.file.sha256


def _withdrawn_study(site_id: int, received: ReceivedStudy) -> Study | None:
    """The study of this patient that was withdrawn and that the post brings back: by its UID, by an image, or where
    there are none by its files. For another patient the post is another study."""
    withdrawn = (
        Study.objects.filter(
            site_id=site_id, withdrawn_at__isnull=False, erased_at__isnull=True, patient__isnull=False
        )
        .select_related("patient")
        .order_by("-withdrawn_at")
    )
    uids = [image.sop_instance_uid for image in received.images if not image.minted]
    same = Q(pk__in=Series.objects.filter(instances__sop_instance_uid__in=uids).values("study"))
    if received.uid_given:
        same |= Q(study_instance_uid=received.study_instance_uid)
    study = next((each for each in withdrawn.filter(same) if is_same_patient(each, received)), None)
    study = study or _with_all_files(site_id, withdrawn, received)
    return None if study is None or has_successor(study) else study


def has_successor(study: Study) -> bool:
    """Whether what was withdrawn has been sent anew: another study has its UID or one of its images."""
    others = Study.objects.filter(site_id=study.site_id, withdrawn_at__isnull=True).exclude(pk=study.pk)
    uids = Instance.objects.filter(series__study=study).values("sop_instance_uid")
    return (
        others.filter(study_instance_uid=study.study_instance_uid).exists()
        or Instance.objects.filter(site_id=study.site_id, active=True, sop_instance_uid__in=uids)
        .exclude(series__study=study)
        .exists()
    )


def _with_all_files(site_id: int, studies: QuerySet[Study], received: ReceivedStudy) -> Study | None:
    """Pictures bring no UIDs: the study of the same patient and accession number that has all of the post's files."""
    if received.uid_given or not received.images or not all(image.minted for image in received.images):
        return None
    found = studies.filter(
        known_as(received.patient_id, issuers_at(site_id, received.demographics.issuer)),
        accession_number=received.accession_number,
    )
    for sha256 in {image.file.sha256 for image in received.images}:
        found = found.filter(pk__in=Series.objects.filter(instances__file=sha256).values("study"))
    return found.order_by("received_at").first()


def is_same_patient(study: Study, received: ReceivedStudy) -> bool:
    """Whether the post speaks of the study's patient: by the id, by that of a record that was merged into theirs, or
    by one that was settled to be theirs before, when a post or a correction overrode it."""
    assert study.patient is not None
    issuer = received.demographics.issuer
    issuers = issuers_at(study.site_id, issuer)
    if study.patient.absorbed.filter(patient_id=received.patient_id, issuer__in=issuers).exists():
        return True
    if issuer and study.patient.issuer not in issuers:
        return False
    if study.patient.patient_id == received.patient_id:
        return True
    return not received.post.patient.id and any(
        difference["field"] == "patient.id"
        and difference["header"] == received.patient_id
        and difference["used"] == study.patient.patient_id
        for difference in study.header_differences
    )


def judge(received: ReceivedStudy, study: Study | None, known: Known) -> list[Verdict]:
    """What is to be done with each file that can be taken, in the post's order.

    Parameters
    ----------
    study
        The one that they belong to; None where it is new.
    """
    by_hash: dict[str, Instance] = {}
    if study is not None:
        for instance in Instance.objects.filter(series__study=study).select_related("series"):
            by_hash[instance.file_id] = instance
            if not instance.active:  # of a withdrawn study that comes back
                known = known | {instance.sop_instance_uid: instance}
    seen: dict[str, str] = {}
    verdicts = []
    for image in received.images:
        verdict = _judge_image(image, received, study, known, by_hash, seen)
        if not image.minted:
            seen.setdefault(image.sop_instance_uid, image.file.sha256)
        verdicts.append(verdict)
    verdicts += _judge_objects(received, study)
    return sorted(verdicts, key=lambda verdict: verdict.place)


def _judge_image(
    image: ReceivedImage,
    received: ReceivedStudy,
    study: Study | None,
    known: Known,
    by_hash: dict[str, Instance],
    seen: dict[str, str],
) -> Verdict:
    verdict = Verdict(image.place, image.file.name, image.file.sha256, "stored", image=image)
    if image.minted:
        if image.file.sha256 in by_hash:
            verdict.status, verdict.existing = "duplicate", by_hash[image.file.sha256]
        return verdict
    existing = known.get(image.sop_instance_uid)
    if existing is None:
        if (before := seen.get(image.sop_instance_uid)) is not None:
            verdict.clashes_within = image.sop_instance_uid
            if before == image.file.sha256:
                verdict.status, verdict.reason = "duplicate", "The file is twice in this post."
            else:
                verdict.status, verdict.reason = "quarantined", OTHER_BYTES
        return verdict
    verdict.existing = existing
    if existing.file_id != image.file.sha256:
        verdict.status, verdict.reason = "quarantined", OTHER_BYTES
    elif study is not None and existing.series.study_id == study.pk:
        verdict.status = "duplicate"
    elif is_same_patient(existing.series.study, received):
        verdict.status, verdict.existing = "refused", None
        verdict.reason = "The image is stored in another study of this patient."
    else:
        verdict.status, verdict.reason = "quarantined", OTHER_PATIENT
    return verdict


def _judge_objects(received: ReceivedStudy, study: Study | None) -> list[Verdict]:
    there: set[str] = set()
    if study is not None:
        there = set(KeptAside.objects.filter(study=study).values_list("file_id", flat=True))
    verdicts = []
    for each in received.objects:
        verdict = Verdict(each.place, each.file.name, each.file.sha256, "kept_aside", each.what, object=each)
        if each.file.sha256 in there:
            verdict.status, verdict.reason = "duplicate", ""
        there.add(each.file.sha256)
        verdicts.append(verdict)
    return verdicts
