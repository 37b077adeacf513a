"""What a reader sees of a case. Filtered for the actor's site; the list of cases is in `reading.worklist`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding
from cad_platform.analysis.verdict import without_results
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound
from cad_platform.reading.case_state import (
    awaits_job,
    current_findings,
    current_jobs,
    is_open_for_decisions,
)
from cad_platform.reading.report_standing import standing_of
from cad_platform.reading.states import reading_state_of, with_reading_state
from cad_platform.registry.routing import read_once
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import sorted_images, studies_for, study_by_uid
from cad_platform.studies.sorting import SortedImage


@dataclass(frozen=True)
class CaseRecord:
    """Everything of one study that the case page composes. `jobs` and `findings` are those that count.
    `signed_jobs`: the states of jobs, by id, as the latest signed report holds them; None where nothing is signed."""

    study: Study
    reading_state: str
    images: list[SortedImage]
    jobs: list[AnalysisJob]
    earlier_jobs: list[AnalysisJob]
    signed_jobs: dict[str, str] | None
    findings: list[Finding]
    artefacts: list[Artefact]
    other_studies: list[Study]
    is_locked: bool
    awaits_job: bool


def finding(actor: Actor, uid: str, finding_id: uuid.UUID) -> Finding:
    """One finding of a study at the actor's site. Raises `NotFound`."""
    study = study_by_uid(actor, uid)
    found = Finding.objects.filter(study=study, pk=finding_id).select_related("instance", "study").first()
    if found is None:
        raise NotFound(str(_("There is no such finding in this study.")))
    return found


@read_once()
def case(actor: Actor, uid: str) -> CaseRecord:
    """Everything of one study that the case page composes. Reading is recorded by `services.open_case`, which the page
    goes through.

    Raises
    ------
    NotFound
        There is no such study at the actor's site.
    NotPermitted
        The actor reads no studies.
    """
    require(actor, "study.view")
    study = study_by_uid(actor, uid)
    require(actor, "study.view", study)
    if not study.has_images:
        raise NotFound(str(_("No image of this study has come yet.")))
    jobs = current_jobs(study)
    counts = [job.pk for job in jobs]
    # Their results stay where they are: the history names them by version and score alone.
    earlier = (
        without_results(AnalysisJob.objects.filter(study=study).exclude(pk__in=counts))
        .select_related("model_version")
        .defer("model_version__card", "model_version__metrics")
    )
    standing = standing_of(study)
    others = (
        with_reading_state(studies_for(actor).filter(patient=study.patient_id))
        .exclude(pk=study.pk)
        .exclude(modality="")
        if study.patient_id
        else Study.objects.none()
    )
    return CaseRecord(
        study=study,
        reading_state=reading_state_of(study),
        images=sorted_images(study),
        jobs=jobs,
        earlier_jobs=list(earlier.order_by("-requested_at", "pk")),
        signed_jobs=standing.signed_jobs if standing else None,
        findings=current_findings(study, jobs),
        artefacts=list(Artefact.objects.filter(job__in=counts).select_related("instance", "job")),
        other_studies=list(others.order_by("-study_date", "-received_at")[:20]),
        is_locked=not is_open_for_decisions(study),
        awaits_job=not jobs and awaits_job(study),
    )
