"""What may happen to a study: files of it arrive, it is complete, something of it is corrected, it is withdrawn with a
reason and brought back with one. Nothing deletes one.

A study's row is the lock of its whole case: whoever writes anything of a case (a result, a decision, a report)
calls `lock_study` first and looks at the rest afterwards.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace

from django.conf import settings
from django.db import transaction
from django.db.models import Min
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.accounts.selectors import site_of
from cad_platform.audit.services import record
from cad_platform.core import rows
from cad_platform.core.actor import Actor
from cad_platform.core.errors import (
    Conflict,
    FieldError,
    FileOutcome,
    Invalid,
    NotFound,
    PlatformError,
)
from cad_platform.patients.models import Patient
from cad_platform.patients.services import receive_patient
from cad_platform.studies import answering, corrections, growth, matching, quarantine, storage, turns
from cad_platform.studies.describing import PostedFile
from cad_platform.studies.matching import Verdict
from cad_platform.studies.models import Instance, KeptAside, Study
from cad_platform.studies.post import StudyPost
from cad_platform.studies.received import ReceivedStudy
from cad_platform.studies.receiving import assemble
from cad_platform.studies.storage import Deposit
from cad_platform.studies.typed_text import reason_of


def lock_study(study_id: uuid.UUID | str) -> Study | None:
    """The study as it stands now, its row locked until the transaction ends; None where there is none.

    Always the first lock that a writer of a case takes: study, then report or job, so that no two writers can wait
    for each other. Rows that only refer to the study are not kept waiting (FOR NO KEY UPDATE).
    """
    locked = Study.objects.select_for_update(of=("self",), no_key=True).select_related("patient", "site")
    return locked.filter(pk=study_id).first()


@dataclass(frozen=True)
class Receipt:
    """A post's outcome: the study, whether it is new, and what became of each file, in the post's order."""

    study: Study
    created: bool
    files: tuple[FileOutcome, ...]
    made: tuple[Instance, ...] = ()
    """All images of a study that is new, as they were stored."""

    @property
    def stored_something(self) -> bool:
        return any(each.status in {"stored", "kept_aside"} for each in self.files)


def receive(
    actor: Actor,
    post: StudyPost,
    files: Sequence[PostedFile],
    *,
    note: Callable[[Receipt], None] | None = None,
) -> Receipt:
    """Take in files of a study: into the storage, then rows, audit and the event, in one short transaction.

    A study is not a post: files of one that is known are added to it, and a study that was complete is open again until
    nothing has come for a while. Each file is answered by itself.

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
        Nothing was stored but what is in quarantine: a SOP Instance UID is known with other bytes or for another
        patient; or the post says something else of a stored study, and not that it is a correction.
    StorageFull, Unavailable
        There is no study; the same post may be sent again.
    """
    require(actor, "study.receive")
    charset = site_of(actor).default_character_set
    with ThreadPoolExecutor(max_workers=1) as beside:
        # On their way to the disk while they are decoded; storing them waits for what is left.
        written = beside.submit(copy_context().run, _write_back, files)
        received = assemble(post, files, charset)
        written.result()
    deposits = _deposit(received)
    with transaction.atomic():
        outcome = _receive(actor, received, deposits)
        if isinstance(outcome, Receipt) and note:
            note(outcome)
    if isinstance(outcome, PlatformError):
        raise outcome
    return outcome


def _write_back(files: Sequence[PostedFile]) -> None:
    for file in files:
        storage.write_back(file.path)


def _deposit(received: ReceivedStudy) -> dict[str, Deposit]:
    """The files' bytes in the storage, by hash. Before the transaction, which others of the same patient wait for:
    two thousand files on their way to a bucket take minutes. What the post's rows do not name is collected."""
    arrived = [(image.file, image.description.media_type) for image in received.images]
    arrived += [(each.file, each.media_type) for each in received.objects]
    hashes = [file.sha256 for file, _ in arrived]
    # Neither an image nor what is kept aside is ever deleted, so its bytes stay; a study that comes again sends none of
    # them anywhere, unless the storage has lost them.
    stored = storage.named(hashes)
    named: set[str] = set()
    if stored:  # mostly nothing is
        named |= set(Instance.objects.filter(file__in=stored).values_list("file_id", flat=True))
        named |= set(KeptAside.objects.filter(file__in=stored).values_list("file_id", flat=True))
    deposits: dict[str, Deposit] = {}
    for file, media_type in arrived:
        if file.sha256 in deposits:
            continue
        if file.sha256 in named and storage.exists(file.sha256):
            deposits[file.sha256] = Deposit(file.sha256, file.size, media_type)
        else:
            deposits[file.sha256] = storage.deposit(file.path, media_type, sha256=file.sha256)
    return deposits


def _receive(
    actor: Actor, received: ReceivedStudy, deposits: Mapping[str, Deposit]
) -> Receipt | PlatformError:
    """In the transaction. A refusal is returned, not raised, because a quarantine has to be committed."""
    assert actor.site_id is not None  # `study.receive` admits nobody without a site
    _queue_behind_others(actor.site_id, received)
    known: matching.Known = {}
    study = None
    if not matching.is_unknown(actor.site_id, received):
        known = matching.known_images(actor.site_id, received)
        study = matching.study_of(actor.site_id, received, known)
        study = lock_study(study.pk) if study is not None else None
    # As it is under the lock: somebody may have withdrawn it or brought it back meanwhile.
    was_withdrawn = study is not None and study.withdrawn_at is not None
    is_known = study is not None and study.state != Study.State.QUARANTINED
    corrects = was_withdrawn or received.post.correction is not None
    if study is not None and is_known and not corrects and not matching.is_same_patient(study, received):
        return answering.of_another_patient(received)
    verdicts = matching.judge(received, study if is_known else None, known)
    return _carry_out(actor, received, deposits, study, verdicts, was_withdrawn=was_withdrawn)


def _carry_out(
    actor: Actor,
    received: ReceivedStudy,
    deposits: Mapping[str, Deposit],
    study: Study | None,
    verdicts: list[Verdict],
    *,
    was_withdrawn: bool,
) -> Receipt | PlatformError:
    """Store what is new, correct what is said to be wrong, set aside what clashes."""
    assert actor.site_id is not None
    is_known = study is not None and study.state != Study.State.QUARANTINED
    new = [verdict for verdict in verdicts if verdict.is_new]
    new_images = [verdict for verdict in new if verdict.image is not None]
    clashing = [verdict for verdict in verdicts if verdict.status == "quarantined"]
    there = [verdict for verdict in verdicts if verdict.status == "duplicate"]
    if received.not_as_posted and not (
        study is not None and received.post.modality in (study.modalities or [study.modality])
    ):
        return answering.not_as_posted(received)
    waits = not is_known and not new_images and not clashing and received.begins_with_objects
    if new and not is_known and not new_images and not clashing and not waits:
        return answering.no_image_yet(received, verdicts)
    if not is_known and not new_images and not waits:
        for verdict in new:
            verdict.status, verdict.reason = "refused", answering.NO_IMAGE_YET
        new = []
    storage.name(deposits[verdict.sha256] for verdict in new + clashing)
    if not new and not there:
        if clashing:
            quarantine.keep(actor, received, clashing, study)
        return answering.nothing_stored(received, verdicts)
    changes = (
        corrections.changes(received, study, [verdict for verdict in there if verdict.image is not None])
        if study is not None and is_known and study.has_images
        else []
    )
    takes_changes = received.post.correction is not None or was_withdrawn
    if changes and not takes_changes:
        if not new:
            return corrections.refusal(changes, answering.outcomes(received, verdicts))
        corrections.refuse_each(changes, verdicts)
    created = not is_known
    if study is None or not is_known:
        with rows.together():
            patient = receive_patient(
                actor, actor.site_id, received.patient_id, received.demographics, received.study_instance_uid
            )
            study = growth.create(actor, received, new, patient, taking_over=study)
    else:
        if was_withdrawn:
            _return(actor, study, "posted again")
        said = received.post.patient
        says_who = bool(said.name or said.birth_date or said.sex)
        if new_images or takes_changes or says_who:
            if takes_changes:
                corrections.put_person_right(actor, study, changes)
            patient = _patient_of(actor, study, received)
            if changes and takes_changes:
                corrections.apply(actor, study, received, changes, patient)
        if new:
            growth.add(actor, study, received, new)
        if not new:
            record(actor, "study.receive_again", object_type="study", object_id=study.pk)
        if (
            study.state == Study.State.RECEIVING
            and study.completed_at is None
            and received.post.complete
            and study.has_images
        ):
            growth.complete(study)
    if clashing:
        quarantine.keep(actor, received, clashing, study)
    made = tuple(
        each.existing for each in new if created and each.image is not None and each.existing is not None
    )
    return Receipt(study, created, answering.outcomes(received, verdicts), made)


def _patient_of(actor: Actor, study: Study, received: ReceivedStudy) -> Patient:
    """The patient of a known study with what the post says of them: the stored one, unless it says another."""
    patient_id, reported = received.patient_id, received.demographics
    if study.patient is not None and matching.is_same_patient(study, received):
        patient_id, reported = study.patient.patient_id, replace(reported, issuer=study.patient.issuer)
    return receive_patient(actor, study.site_id, patient_id, reported, study.study_instance_uid)


def _queue_behind_others(site_id: int, received: ReceivedStudy) -> None:
    """Of two posts at once that share a patient, a study or an image, the second waits and finds the first."""
    turns.hold(
        site_id,
        patients=[received.patient_id],
        studies=[received.study_instance_uid],
        images=[image.sop_instance_uid for image in received.images if not image.minted],
    )


# --- completion ------------------------------------------------------------------------------------------


@transaction.atomic
def complete(actor: Actor, study: Study) -> Study:
    """Nothing more of the study comes: have it analysed now. One that is complete stays as it is.

    Raises
    ------
    NotPermitted
        The actor may not send studies.
    NotFound
        There is no such study at the actor's site.
    Conflict
        It is withdrawn, or nothing of it could be accepted.
    """
    require(actor, "study.receive", study)
    locked = lock_study(study.pk)
    if locked is None:
        raise NotFound(_("There is no such study at your site."))
    if locked.withdrawn_at is not None:
        raise Conflict(_("The study is withdrawn."))
    if locked.state == Study.State.QUARANTINED or not locked.has_images:
        raise Conflict(_("No image of the study was accepted yet."))
    if locked.state == Study.State.RECEIVING:
        growth.complete(locked)
        record(actor, "study.complete", object_type="study", object_id=locked.pk)
    return locked


def take_turn() -> float:
    """Complete what is due; the seconds until something may be due again."""
    complete_quiet()
    next_at = Study.objects.filter(state=Study.State.RECEIVING).aggregate(at=Min("quiet_at"))["at"]
    # One that begins now is not due sooner than that.
    longest = max(0.5, min(5.0, settings.STUDY_QUIET_SECONDS / 2))
    return longest if next_at is None else min(longest, max(1.0, (next_at - timezone.now()).total_seconds()))


def complete_quiet(limit: int = 100) -> int:
    """Complete the studies of which nothing has come for `STUDY_QUIET_SECONDS`; returns how many. Any process may do
    it, at any time and twice at once."""
    due = Study.objects.filter(state=Study.State.RECEIVING, quiet_at__lte=timezone.now())
    done = 0
    for study_id in list(due.order_by("quiet_at").values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            study = lock_study(study_id)
            # Asked again under the lock: an image may have come.
            if study is None or study.state != Study.State.RECEIVING or study.withdrawn_at is not None:
                continue
            if study.quiet_at is None or study.quiet_at > timezone.now():
                continue
            growth.complete(study)
            done += 1
    return done


# --- withdrawal ------------------------------------------------------------------------------------------


@transaction.atomic
def withdraw(actor: Actor, study: Study, reason: str) -> Study:
    """Take a study out of reading, for example when it was posted for the wrong patient. It stays on record,
    and its images may be posted again for another patient; for the same patient they bring it back.

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


@transaction.atomic
def bring_back(actor: Actor, study: Study, reason: str) -> Study:
    """Take a withdrawn study into reading again, as a new version.

    Raises
    ------
    NotPermitted
        The role may not withdraw or bring back this study.
    Invalid
        No reason, or one that is no plain text of at most 2000 characters.
    NotFound
        There is no such study.
    Conflict
        It is not withdrawn, or its images have been posted anew since.
    """
    require(actor, "study.withdraw", study)
    reason = reason_of(reason, longest=2000)
    if not reason:
        raise Invalid(
            _("Say in at most 2000 characters why the study comes back."),
            errors=(FieldError(_("A reason is needed."), "reason"),),
        )
    locked = lock_study(study.pk)
    if locked is None:
        raise NotFound(_("There is no such study at your site."))
    if locked.withdrawn_at is None:
        raise Conflict(_("The study is not withdrawn."))
    if matching.has_successor(locked):
        raise Conflict(_("Its images have been sent anew since; this study stays withdrawn."))
    _return(actor, locked, reason)
    return locked


def _return(actor: Actor, study: Study, reason: str) -> None:
    """In the transaction that holds the study's row: it counts again, as a new version."""
    study.withdrawn_at, study.withdrawn_by, study.withdrawn_reason = None, None, ""
    for instance in Instance.objects.filter(series__study=study, active=False):
        instance.active = True
        instance.save(update_fields=["active"])
    corrections.brought_back(actor, study, reason)
    record(actor, "study.bring_back", object_type="study", object_id=study.pk)
