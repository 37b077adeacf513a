"""All of a patient goes: who asked and why, decided by two people, carried out by housekeeping, proven in the audit log
(ADR 57).

What names the person goes: the record's demographics and ids, the studies' ids and accession numbers, files' names and
headers, every file (originals, masks, heat maps, PDFs) with what was derived from it, corrections, quarantine, history.
What the law makes a hospital keep stays as of nobody: that a study was read, what a signed report said and who signed
it, and the audit log, which never named her.
"""

from __future__ import annotations

import json
import logging
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob, Artefact, ShadowResult
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, NotFound, NotPermitted
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.reading.models import Annotation, ReportStanding, WorklistSearch
from cad_platform.records.models import ErasureRequest, PatientMerge
from cad_platform.records.reasons import reason_given
from cad_platform.records.retention import is_held, people_of, studies_of
from cad_platform.reporting.models import Report
from cad_platform.studies import removal, slides, storage, turns
from cad_platform.studies.models import Instance, KeptAside, QuarantinedFile, Series, Study
from cad_platform.studies.services import lock_study

logger = logging.getLogger(__name__)

#: What stands where something named the person.
GONE = "erased"


def requests(actor: Actor) -> QuerySet[ErasureRequest]:
    """Those of the actor's site, the latest first. Raises `NotPermitted`."""
    require(actor, "patient.erase")
    assert actor.site_id is not None  # the permission admits nobody without a site
    return ErasureRequest.objects.filter(site_id=actor.site_id).select_related(
        "patient__site", "asked_by", "decided_by"
    )


def request_by_id(actor: Actor, request_id: uuid.UUID) -> ErasureRequest:
    """One of them. Raises `NotFound` or `NotPermitted`."""
    found = requests(actor).filter(pk=request_id).first()
    if found is None:
        raise NotFound(_("There is no such request at your site."))
    return found


@transaction.atomic
def open_requests(actor: Actor, *, page: str | None, size: int) -> Page[ErasureRequest]:
    """A page of the site's requests, with the fact that it was looked at. Raises `NotPermitted`."""
    shown = Paginator(requests(actor), size).get_page(page)
    record(actor, "erasure.list", object_type="patient", shown=len(shown.object_list))
    return shown


@transaction.atomic
def open_request(actor: Actor, request_id: uuid.UUID) -> ErasureRequest:
    """One of them, with the fact that it was looked at. Raises `NotFound` or `NotPermitted`."""
    found = request_by_id(actor, request_id)
    _record(actor, "erasure.view", found)
    return found


def extent(request: ErasureRequest) -> dict[str, int]:
    """How much it is of: what would go, or what went."""
    if request.proof:
        return dict(request.proof)
    studies = studies_of(request.patient)
    return {
        "records": len(people_of(request.patient)),
        "studies": studies.count(),
        "images": Instance.objects.filter(series__study__in=studies).count(),
        "signed_reports_kept": Report.objects.filter(study__in=studies, state=Report.State.SIGNED).count(),
    }


@transaction.atomic
def ask(actor: Actor, patient: Patient, *, on_behalf: str, reason: str) -> ErasureRequest:
    """Ask that all of a patient goes. A second person decides.

    Raises
    ------
    NotFound, NotPermitted
        The record is another site's; the role may not.
    Invalid
        No reason.
    Conflict
        A hold stands, it was asked for or carried out already, or the record is read as another.
    """
    require(actor, "patient.erase", patient)
    reason = reason_given(reason)
    locked = Patient.objects.select_for_update(no_key=True).get(pk=patient.pk)
    _check(locked)
    if ErasureRequest.objects.filter(patient=locked, state__in=ErasureRequest.OPEN).exists():
        raise Conflict(_("The erasure of this record was asked for already."))
    made = ErasureRequest.objects.create(
        site_id=locked.site_id,
        patient=locked,
        on_behalf=ErasureRequest.OnBehalf(on_behalf),
        reason=reason,
        asked_by=actor.user,
    )
    _record(actor, "erasure.ask", made, on_behalf=on_behalf)
    return made


@transaction.atomic
def decide(actor: Actor, request_id: uuid.UUID) -> ErasureRequest:
    """The second person's word that it is carried out.

    Raises
    ------
    NotFound, NotPermitted
        There is no such request at the site; the role may not, or it is the person who asked.
    Conflict
        It was decided already, or a hold stands.
    """
    found = _open_request(actor, request_id)
    if actor.user is None or found.asked_by_id == actor.user.pk:
        raise NotPermitted(_("Another person than the one who asked decides."))
    _check(Patient.objects.select_for_update(no_key=True).get(pk=found.patient_id))
    found.state, found.decided_by, found.decided_at = ErasureRequest.State.DECIDED, actor.user, timezone.now()
    found.save(update_fields=["state", "decided_by", "decided_at"])
    _record(actor, "erasure.decide", found)
    return found


@transaction.atomic
def refuse(actor: Actor, request_id: uuid.UUID, reason: str) -> ErasureRequest:
    """It is not carried out; whoever asked may say so too. Raises as `decide` does; `Invalid` without a reason."""
    found = _open_request(actor, request_id)
    found.refused_reason = reason_given(reason)
    found.state, found.decided_by, found.decided_at = ErasureRequest.State.REFUSED, actor.user, timezone.now()
    found.save(update_fields=["state", "decided_by", "decided_at", "refused_reason"])
    _record(actor, "erasure.refuse", found)
    return found


def _open_request(actor: Actor, request_id: uuid.UUID) -> ErasureRequest:
    require(actor, "patient.erase")
    found = ErasureRequest.objects.select_for_update().filter(pk=request_id).first()
    if found is None:
        raise NotFound(_("There is no such request at your site."))
    require(actor, "patient.erase", found)
    if found.state != ErasureRequest.State.ASKED:
        raise Conflict(_("Somebody has decided this request already."))
    return found


def _check(patient: Patient) -> None:
    if patient.erased_at is not None:
        raise Conflict(_("This record was erased."))
    if patient.merged_into_id is not None:
        raise Conflict(_("This record was merged into another: ask for that one."))
    if is_held(patient):
        raise Conflict(_("A hold stands on this record: it is not erased before the hold is lifted."))


def _record(actor: Actor, action: str, request: ErasureRequest, **detail: Any) -> None:
    record(
        actor, action, object_type="patient", object_id=request.patient_id, site_id=request.site_id,
        erasure=str(request.pk), **detail,
    )  # fmt: skip


# --- carrying it out -------------------------------------------------------------------------------------


def take_turn() -> None:
    """Carry out what is decided. Any process may do it, at any time and twice at once."""
    due = ErasureRequest.objects.filter(
        state__in=[ErasureRequest.State.DECIDED, ErasureRequest.State.FILES]
    ).order_by("decided_at")
    for request_id in list(due.values_list("pk", flat=True)[:20]):
        carry_out(request_id)


def carry_out(request_id: uuid.UUID) -> bool:
    """Erase, then remove the files; whether all of it is done. What a crash broke off goes on from there; what waits
    (for a hold, or for a model that is at work on an image) is tried again.

    Raises
    ------
    Unavailable
        The storage does not answer; the files' turn comes again.
    """
    actor = Actor.system("erasures")
    with transaction.atomic():
        found = ErasureRequest.objects.select_for_update().filter(pk=request_id).first()
        if found is None:
            return False
        if found.state == ErasureRequest.State.DECIDED and not _erase(actor, found):
            return False
        if found.state != ErasureRequest.State.FILES:
            return found.state == ErasureRequest.State.DONE
    # After the commit: a file that a row still names is nobody's to remove.
    left = removal.remove(found.files)
    with transaction.atomic():
        found = ErasureRequest.objects.select_for_update().get(pk=request_id)
        if found.state != ErasureRequest.State.FILES:
            return True
        found.proof = {**found.proof, "files_shared_with_others": len(left.named)}
        found.files = left.waiting
        if not left.waiting:
            found.state, found.done_at = ErasureRequest.State.DONE, timezone.now()
            _record(
                actor, "erasure.files_removed", found,
                removed=found.proof["files"] - len(left.named), shared=len(left.named),
            )  # fmt: skip
        found.save(update_fields=["proof", "files", "state", "done_at"])
    return found.state == ErasureRequest.State.DONE


@dataclass(frozen=True)
class _Everything:
    """What is there of a patient, under its locks."""

    people: list[Patient]
    studies: list[Study]
    instances: list[Instance]


def _erase(actor: Actor, request: ErasureRequest) -> bool:
    """In the transaction that holds the request: everything but the bytes. False where it has to wait."""
    patient = Patient.objects.select_related("site").get(pk=request.patient_id)
    turns.hold(patient.site_id, patients={each.patient_id for each in people_of(patient)})
    keys = sorted(studies_of(patient).values_list("pk", flat=True))
    studies = [study for study in map(lock_study, keys) if study is not None]
    people = people_of(Patient.objects.select_for_update().select_related("site").get(pk=patient.pk))
    if is_held(people[0]) or people[0].merged_into_id is not None:
        return False
    if AnalysisJob.objects.filter(study__in=studies, state__in=AnalysisJob.OPEN).exists():
        return False
    instances = list(Instance.objects.filter(series__study__in=studies).select_related("series", "slide"))
    whole = _Everything(people, studies, instances)
    hashes = _files_of(whole)
    uids = _new_uids(whole)
    _forget_studies(whole, uids)
    _forget_people(whole)
    _forget_what_only_the_owner_may(request, uids)
    request.files = hashes
    request.proof = {
        "records": len(people),
        "studies": len(studies),
        "images": len(instances),
        "files": len(hashes),
        "signed_reports_kept": Report.objects.filter(study__in=studies, state=Report.State.SIGNED).count(),
    }
    request.state = ErasureRequest.State.FILES
    request.save(update_fields=["files", "proof", "state"])
    _record(actor, "erasure.carry_out", request, **request.proof)
    return True


def _files_of(whole: _Everything) -> list[str]:
    """Hashes of every file of the patient's, and the names that derived files of them go by."""
    studies = whole.studies
    found = {each.file_id for each in whole.instances}
    found |= set(KeptAside.objects.filter(study__in=studies).values_list("file_id", flat=True))
    found |= set(QuarantinedFile.objects.filter(study__in=studies).values_list("file_id", flat=True))
    found |= set(
        QuarantinedFile.objects.filter(existing__in=whole.instances).values_list("file_id", flat=True)
    )
    found |= set(Artefact.objects.filter(job__study__in=studies).values_list("file_id", flat=True))
    pdfs = Report.objects.filter(study__in=studies, pdf__isnull=False)
    found |= set(pdfs.values_list("pdf_id", flat=True))
    for particulars in pdfs.values_list("particulars", flat=True):
        found |= {each["sha256"] for each in particulars.get("key_images", []) if "sha256" in each}
    arranged = slides.arrange(whole.instances)
    found |= {each.whole_slide.tag for each in arranged if each.whole_slide is not None}
    return sorted(found)


def _new_uids(whole: _Everything) -> dict[str, str]:
    """Old UID → one that names nothing: a study's UID finds her in the hospital's archive."""
    series = Series.objects.filter(study__in=whole.studies).values_list("series_instance_uid", flat=True)
    old = {study.study_instance_uid for study in whole.studies}
    old |= {each.sop_instance_uid for each in whole.instances} | set(series)
    return {uid: f"2.25.{secrets.randbits(120)}" for uid in sorted(old) if uid}


def _forget_studies(whole: _Everything, uids: dict[str, str]) -> None:
    now = timezone.now()
    nothing = storage.empty_file()
    for study in whole.studies:
        study.study_instance_uid = uids[study.study_instance_uid]
        study.accession_number = study.procedure = study.content_hash = ""
        study.study_date, study.header_differences, study.quiet_at = None, [], None
        study.erased_at = now
        study.withdrawn_at, study.withdrawn_reason = study.withdrawn_at or now, GONE
        study.version += 1
        study.save()
    for series in Series.objects.filter(study__in=whole.studies):
        series.series_instance_uid = uids.get(series.series_instance_uid, "")
        series.description = ""
        series.save(update_fields=["series_instance_uid", "description"])
    for instance in whole.instances:
        instance.sop_instance_uid = uids.get(instance.sop_instance_uid, "")
        instance.file, instance.file_name, instance.facts, instance.active = nothing, GONE, {}, False
        instance.save(update_fields=["sop_instance_uid", "file", "file_name", "facts", "active"])
    Annotation.objects.filter(study__in=whole.studies).exclude(note="").update(note=GONE)
    ReportStanding.objects.filter(study__in=whole.studies).update(has_draft=False)
    WorklistSearch.objects.filter(study__in=whole.studies).delete()
    # What a version said in shadow names the images; its score stays for the figures.
    ShadowResult.objects.filter(study__in=whole.studies, result__isnull=False).update(result={})


def _forget_people(whole: _Everything) -> None:
    DemographicsReview.objects.filter(patient__in=whole.people).update(reported={}, study_instance_uid="")
    PatientMerge.objects.filter(kept__in=whole.people).update(reason=GONE)
    for patient in whole.people:
        patient.patient_id, patient.issuer = f"{GONE}-{secrets.token_hex(8)}", ""
        patient.name = patient.name_ideographic = patient.name_phonetic = ""
        patient.birth_date, patient.birth_date_sent, patient.sex = None, "", ""
        patient.erased_at = timezone.now()
        patient.save()


def _forget_what_only_the_owner_may(request: ErasureRequest, uids: dict[str, str]) -> None:
    """What the application's role can neither change nor delete: the database's owner does, for a request that two
    people decided (`records/migrations/0003_erasing.py`)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT records_erase(%s, %s::jsonb)", [request.pk, json.dumps(uids)])
