"""What may happen to a study: it is received, or withdrawn with a reason. Nothing deletes one.

A study's row is the lock of its whole case: whoever writes anything of a case (a result, a decision, a report)
calls `lock_study` first and looks at the rest afterwards.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.studies import storage
from cad_platform.studies.models import Instance, QuarantinedFile, Series, Study
from cad_platform.studies.new_study import create_study
from cad_platform.studies.post import StudyPost
from cad_platform.studies.receiving import PostedFile, ReceivedImage, ReceivedStudy, assemble
from cad_platform.studies.storage import Deposit
from cad_platform.studies.typed_text import reason_of

#: First key of the advisory locks that put posts in a row, and how many second keys there are.
_LOCK, _LOCK_KEYS = 0x0CAD0002, 1024


def lock_study(study_id: uuid.UUID | str) -> Study | None:
    """The study as it stands now, its row locked until the transaction ends; None where there is none.

    Always the first lock that a writer of a case takes: study, then report or job, so that no two writers can wait
    for each other. Rows that only refer to the study are not kept waiting (FOR NO KEY UPDATE).
    """
    locked = Study.objects.select_for_update(of=("self",), no_key=True).select_related("patient", "site")
    return locked.filter(pk=study_id).first()


@dataclass(frozen=True)
class Receipt:
    """A post's outcome: the study, and whether it is new or was there already."""

    study: Study
    created: bool


def receive(
    actor: Actor,
    post: StudyPost,
    files: Sequence[PostedFile],
    *,
    note: Callable[[Receipt], None] | None = None,
) -> Receipt:
    """Take in a study: files into the storage, then rows, audit and the event, in one short transaction.

    Parameters
    ----------
    files
        Complete on disk; those that the storage does not have are moved away, the caller removes what is left.
    note
        Called inside the transaction, for what must exist exactly if the study does.

    Raises
    ------
    NotPermitted, UnsupportedMedia, PayloadTooLarge, Invalid
        Nothing was stored.
    Conflict
        A SOP Instance UID is known with other bytes (those files are in quarantine, nothing was overwritten), or the
        UID belongs to another patient or other images.
    StorageFull, Unavailable
        There is no study; the same post may be sent again.
    """
    require(actor, "study.receive")
    received = assemble(post, files)
    deposits = _deposit(received)
    with transaction.atomic():
        outcome = _receive(actor, received, deposits)
        if isinstance(outcome, Receipt) and note:
            note(outcome)
    if isinstance(outcome, Conflict):
        raise outcome
    return outcome


def _deposit(received: ReceivedStudy) -> dict[str, Deposit]:
    """The files' bytes in the storage, by hash. Before the transaction, which others of the same patient wait for:
    two thousand files on their way to a bucket take minutes. What the post's rows do not name is collected."""
    hashes = [image.file.sha256 for image in received.images]
    # An image is never deleted, so its bytes stay: a study that comes again sends none of them anywhere.
    kept = set(Instance.objects.filter(file__in=hashes).values_list("file_id", flat=True))
    deposits: dict[str, Deposit] = {}
    for image in received.images:
        file, media_type = image.file, image.description.media_type
        if file.sha256 in deposits:
            continue
        if file.sha256 in kept:
            deposits[file.sha256] = Deposit(file.sha256, file.size, media_type)
        else:
            deposits[file.sha256] = storage.deposit(file.path, media_type, sha256=file.sha256)
    return deposits


def _receive(actor: Actor, received: ReceivedStudy, deposits: Mapping[str, Deposit]) -> Receipt | Conflict:
    """In the transaction. A conflict is returned, not raised, because its quarantine has to be committed."""
    assert actor.site_id is not None  # `study.receive` admits nobody without a site
    _queue_behind_others(actor.site_id, received)
    known = {
        instance.sop_instance_uid: instance
        for instance in Instance.objects.filter(
            site_id=actor.site_id,
            active=True,
            sop_instance_uid__in=[image.sop_instance_uid for image in received.images if not image.minted],
        ).select_related("series__study__patient")
    }
    clashing = [
        image
        for image in received.images
        if image.sop_instance_uid in known and known[image.sop_instance_uid].file_id != image.file.sha256
    ]
    if clashing:
        storage.name(deposits[image.file.sha256] for image in clashing)
        return _quarantine(actor, received, clashing, known)
    study = _same_study(actor.site_id, received, known)
    if study is not None and study.state != Study.State.QUARANTINED:
        return _repeated(actor, study, received)
    _refuse_withdrawn(actor.site_id, received)
    storage.name(deposits.values())
    return Receipt(create_study(actor, received, taking_over=study), created=True)


def _queue_behind_others(site_id: int, received: ReceivedStudy) -> None:
    """Of two posts at once that share a patient, a study or an image, the second waits and finds the first.

    In ascending order, so that two posts with many images cannot wait for each other.
    """
    names = [
        f"patient {received.patient_id}",
        f"study {received.study_instance_uid}",
        *(f"image {image.sop_instance_uid}" for image in received.images if not image.minted),
    ]
    keys = sorted({_lock_key(f"{site_id} {name}") for name in names})
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, key) FROM unnest(%s::int[]) AS key", [_LOCK, keys])


def _lock_key(name: str) -> int:
    """One of few: a post of two thousand images must not fill PostgreSQL's table of locks."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % _LOCK_KEYS


# --- the same again --------------------------------------------------------------------------------------


def _same_study(site_id: int, received: ReceivedStudy, known: dict[str, Instance]) -> Study | None:
    """The stored study that this post speaks of: by its images, by its UID, or, where the post brings no UIDs
    at all, by patient, accession number and files."""
    if known and len(known) == len(received.images):
        return next(iter(known.values())).series.study
    here = Study.objects.filter(site_id=site_id, withdrawn_at__isnull=True).select_related("patient")
    if received.uid_given:
        found = here.filter(study_instance_uid=received.study_instance_uid).first()
        if found is not None:
            return found
    if known:
        return next(iter(known.values())).series.study
    if received.uid_given or not all(image.minted for image in received.images):
        return None
    return here.filter(
        patient__patient_id=received.patient_id,
        accession_number=received.accession_number,
        content_hash=received.content_hash,
    ).first()


def _repeated(actor: Actor, study: Study, received: ReceivedStudy) -> Receipt | Conflict:
    """The same again is a success; anything else about a known study is a conflict and changes nothing."""
    if study.patient is None or study.patient.patient_id != received.patient_id:
        return _conflict("These images are stored for another patient.", "study.patient.id", "other_patient")
    stored = {
        (instance.sop_instance_uid, instance.file_id)
        for instance in Instance.objects.filter(series__study=study)
    }
    hashes = {sha256 for _, sha256 in stored}
    for image in received.images:
        if image.minted:
            same = image.file.sha256 in hashes
        else:
            same = (image.sop_instance_uid, image.file.sha256) in stored
        if not same:
            return _conflict(
                "A study with these images or this UID is stored already, without this file.",
                "files",
                "study_exists",
                image.file.name,
            )
    record(actor, "study.receive_again", object_type="study", object_id=study.pk)
    return Receipt(study, created=False)


def _conflict(reason: str, field: str, code: str, file: str = "") -> Conflict:
    return Conflict(f"{reason} Nothing was changed.", errors=(FieldError(reason, field, file),), code=code)


def _refuse_withdrawn(site_id: int, received: ReceivedStudy) -> None:
    """A sender that repeats itself must not bring back what a person withdrew; for another patient it may."""
    uids = [image.sop_instance_uid for image in received.images if not image.minted]
    withdrawn = Study.objects.filter(
        site_id=site_id, withdrawn_at__isnull=False, patient__patient_id=received.patient_id
    )
    same = withdrawn.filter(content_hash=received.content_hash) | withdrawn.filter(
        pk__in=Series.objects.filter(instances__sop_instance_uid__in=uids).values("study")
    )
    if same.exists():
        raise _conflict("These images were withdrawn for this patient.", "files", "withdrawn")


# --- quarantine ------------------------------------------------------------------------------------------


def _quarantine(
    actor: Actor, received: ReceivedStudy, clashing: Sequence[ReceivedImage], known: dict[str, Instance]
) -> Conflict:
    """Keep the clashing files aside. A study UID that is new is kept as a quarantined study, to be found."""
    assert actor.site_id is not None
    study = known[clashing[0].sop_instance_uid].series.study
    if received.uid_given:
        study = Study.objects.filter(
            site_id=actor.site_id, study_instance_uid=received.study_instance_uid, withdrawn_at__isnull=True
        ).first() or Study.objects.create(
            site_id=actor.site_id,
            study_instance_uid=received.study_instance_uid,
            modality=received.modality,
            state=Study.State.QUARANTINED,
            received_from=actor.token,
        )
    reason = "The SOP Instance UID is known with other bytes."
    for image in clashing:
        QuarantinedFile.objects.get_or_create(
            site_id=actor.site_id,
            sop_instance_uid=image.sop_instance_uid,
            file_id=image.file.sha256,
            defaults={
                "study": study,
                "existing": known[image.sop_instance_uid],
                "file_name": image.file.name,
                "reason": reason,
                "received_from": actor.token,
            },
        )
    record(
        actor,
        "study.quarantine",
        object_type="study",
        object_id=study.pk,
        outcome="refused",
        files=[image.file.sha256 for image in clashing],
    )
    return Conflict(
        "A file has the UID of a stored image and other bytes. It is in quarantine; nothing was overwritten.",
        errors=tuple(FieldError(reason, "files", image.file.name) for image in clashing),
        code="sop_instance_uid_conflict",
    )


# --- withdrawal ------------------------------------------------------------------------------------------


@transaction.atomic
def withdraw(actor: Actor, study: Study, reason: str) -> Study:
    """Take a study out of reading, for example when it was posted for the wrong patient. It stays on record,
    and its images may be posted again for another patient.

    Raises
    ------
    NotPermitted
        The role may not withdraw this study.
    Invalid
        No reason, or one that is no plain text of at most 2000 characters.
    NotFound
        There is no such study.
    Conflict
        It was withdrawn already.
    """
    require(actor, "study.withdraw", study)
    reason = reason_of(reason, longest=2000)
    if not reason:
        raise Invalid(
            _("Say in at most 2000 characters why the study is withdrawn."),
            errors=(FieldError(_("A reason is needed."), "reason"),),
        )
    locked = lock_study(study.pk)
    if locked is None:
        raise NotFound(_("There is no such study at your site."))
    study = locked
    if study.withdrawn_at is not None:
        raise Conflict(_("The study was withdrawn already."))
    study.withdrawn_at, study.withdrawn_by, study.withdrawn_reason = timezone.now(), actor.user, reason
    study.save(update_fields=["withdrawn_at", "withdrawn_by", "withdrawn_reason"])
    for instance in Instance.objects.filter(series__study=study, active=True):
        instance.active = False
        instance.save(update_fields=["active"])
    record(actor, "study.withdraw", object_type="study", object_id=study.pk)
    return study
