"""The one composed answer about a study, put together from every app's selectors."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, cast

from django.db.models import QuerySet, prefetch_related_objects
from django.urls import reverse
from rest_framework.request import Request

from cad_platform.accounts.rules import require
from cad_platform.analysis import selectors as analyses
from cad_platform.analysis.models import Finding
from cad_platform.analysis.verdict import mark_class
from cad_platform.api import answers, image_answers
from cad_platform.core.actor import Actor
from cad_platform.reading.case_state import (
    analysed,
    changed_after_signing,
    counting_among,
    current_findings,
    decision_of,
    filter_analysed,
    have_ended,
    is_faint,
)
from cad_platform.reading.models import ReportStanding
from cad_platform.reporting import selectors as reports
from cad_platform.reporting.models import Report
from cad_platform.reporting.revision import Revision, revision_of
from cad_platform.studies import identity
from cad_platform.studies import selectors as studies
from cad_platform.studies.addresses import image_urls, metadata_path
from cad_platform.studies.models import Instance, QuarantinedFile, Study, StudyCorrection
from cad_platform.studies.services import Receipt
from cad_platform.studies.slides import slide_of
from cad_platform.studies.sorting import SortedImage, unconfirmed
from imaging.description import Region


def study_url(request: Request, study: Study) -> str:
    return request.build_absolute_uri(reverse("api-study", args=[study.study_instance_uid]))


def summaries(request: Request, found: Iterable[Study]) -> list[answers.StudySummary]:
    """As lists show them; one query tells how far the analyses of all of them are."""
    listed = list(found)
    prefetch_related_objects(listed, "patient__absorbed")
    done = analysed(listed)
    return [answers.StudySummary(**_summary(request, study, done=study.pk in done)) for study in listed]


def require_reading(actor: Actor, study: Study) -> None:
    """Let pass who may read all that the answer tells; asked before it is composed, and before a kept one is given.

    Raises
    ------
    NotFound
        The study is another site's.
    NotPermitted
        The actor may not read the study or its reports.
    """
    require(actor, "study.view", study)
    require(actor, "report.view", study)


def compose(
    request: Request, actor: Actor, study: Study, revision: Revision | None = None
) -> answers.StudyAnswer:
    """Everything about a study that the actor may read. Reports are the signed ones.

    Parameters
    ----------
    revision
        The study's, of this transaction or before it, where the caller knows it already.
    """
    require_reading(actor, study)
    has = (revision or revision_of(study)).has

    def artefact_url(artefact_id: uuid.UUID | str) -> str:
        return request.build_absolute_uri(analyses.artefact_url(artefact_id))

    jobs = list(analyses.jobs_of(actor, study))
    counting = counting_among(study, jobs)
    summary = _summary(request, study, done=have_ended(counting))
    stored = studies.stored_images(study)
    images = studies.images_of(actor, study, stored)
    current = {job.pk for job in counting}
    signed = reports.reports_of(actor, study) if has(Report) else []
    counts_now = reports.counting_report(signed)
    unsure = bool(unconfirmed(image for image in images if image.is_scored))
    return answers.StudyAnswer(
        **summary,
        header_differences=[
            answers.DifferenceAnswer(**difference) for difference in identity.standing(study)
        ],
        images=[_image(request, image) for image in images],
        jobs=[
            answers.JobAnswer.model_validate(
                analyses.job_answer(job, artefact_url, current=job.pk in current)
                | {"side_unconfirmed": job.pk in current and unsure}
            )
            for job in jobs
        ],
        findings=[_finding(finding) for finding in current_findings(study, counting)] if has(Finding) else [],
        report=answers.CountingReportAnswer.model_validate(counts_now) if counts_now else None,
        reports=[
            answers.ReportAnswer(
                **reports.composed(report),
                pdf=request.build_absolute_uri(reverse("api-report-pdf", args=[report.pk])),
            )
            for report in signed
        ],
        quarantined_files=[
            answers.QuarantinedFileAnswer(
                file=kept.file_name,
                sop_instance_uid=kept.sop_instance_uid,
                sha256=kept.file_id,
                reason=kept.reason,
                received_at=kept.received_at,
            )
            for kept in (studies.quarantined_files_of(actor, study) if has(QuarantinedFile) else [])
        ],
        kept_aside=[
            answers.KeptAsideAnswer(
                file=kept.file_name,
                sop_instance_uid=kept.sop_instance_uid,
                sop_class_uid=kept.sop_class_uid,
                modality=kept.modality,
                what=kept.what,
                reason=cast(Any, kept.reason),
                sha256=kept.file_id,
                received_at=kept.received_at,
            )
            for kept in studies.kept_aside_of(actor, study, stored)
        ],
        corrections=[
            answers.CorrectionAnswer(
                kind=cast(Any, each.kind),
                version=each.version,
                changes=[answers.ChangeAnswer(**change) for change in each.changes],
                reason=each.reason,
                at=each.at,
                by=each.by.printed_name if each.by else None,
            )
            for each in (studies.corrections_of(actor, study) if has(StudyCorrection) else [])
        ],
        changed_after_signing=cast(Any, changed_after_signing(study) if has(ReportStanding) else []),
    )


def receipt(request: Request, actor: Actor, receipt: Receipt) -> answers.ReceiptAnswer:
    """What the sender of a study is told. It names no patient, because it is kept for repeated requests."""
    study = receipt.study
    images = {image.pk: image for image in studies.received_images(actor, study, receipt.made)}
    urls = {key: request.build_absolute_uri(metadata_path(image)) for key, image in images.items()}
    # What was made just now has no jobs yet.
    done = not receipt.created and study.pk in analysed([study])
    return answers.ReceiptAnswer(
        study_instance_uid=study.study_instance_uid,
        url=study_url(request, study),
        state=_state(study, done=done),
        created=receipt.created,
        version=study.version,
        files=[
            answers.ReceiptFile(
                file=each.file,
                status=each.status,
                reason=each.reason,
                sop_instance_uid=each.sop_instance_uid,
                id=each.image,
                url=urls.get(each.image) if each.image else None,
            )
            for each in receipt.files
        ],
        images=[
            answers.ReceiptImage(
                id=image.pk,
                file=image.file_name,
                sop_instance_uid=image.sop_instance_uid,
                url=urls[image.pk],
            )
            for image in images.values()
        ],
        overridden=identity.changed_fields(identity.standing(study)),
    )


def of_state(found: QuerySet[Study], state: str) -> QuerySet[Study]:
    """Those in a state as the API tells it: `analysed` is derived from the jobs."""
    if state in {"complete", "analysed"}:
        return filter_analysed(found.filter(state=Study.State.COMPLETE), state == "analysed")
    return found.filter(state=state)


def _state(study: Study, *, done: bool) -> answers.StudyState:
    if study.state == Study.State.COMPLETE and done:
        return "analysed"
    return cast(answers.StudyState, study.state)


def _summary(request: Request, study: Study, *, done: bool) -> dict[str, Any]:
    patient = study.patient
    return {
        "study_instance_uid": study.study_instance_uid,
        "url": study_url(request, study),
        "state": _state(study, done=done),
        "modality": study.modality,
        "modalities": study.modalities or ([study.modality] if study.has_images else []),
        "version": study.version,
        "accession_number": study.accession_number,
        "procedure": study.procedure,
        "priority": study.priority,
        "study_date": study.study_date,
        "received_at": study.received_at,
        "patient": patient
        and answers.PatientAnswer(
            id=patient.patient_id,
            issuer=patient.issuer or study.site.default_issuer,
            name=patient.name,
            name_ideographic=patient.name_ideographic,
            name_phonetic=patient.name_phonetic,
            birth_date=patient.birth_date,
            birth_date_sent=patient.birth_date_sent,
            sex=patient.sex,
            link=[
                answers.PatientLink(
                    id=other.patient_id, issuer=other.issuer or study.site.default_issuer, type="replaces"
                )
                for other in patient.absorbed.all()
            ],
        ),
        "withdrawn": study.withdrawn_at
        and answers.WithdrawnAnswer(
            at=study.withdrawn_at,
            by=study.withdrawn_by.printed_name if study.withdrawn_by else None,
            reason=study.withdrawn_reason,
        ),
    }


def _image(request: Request, sorted_image: SortedImage) -> image_answers.ImageAnswer:
    image, facts = sorted_image.instance, sorted_image.facts
    column, row = image.spacing_um or (None, None)
    return image_answers.ImageAnswer(
        id=image.pk,
        file=image.file_name,
        kind=cast(Any, image.kind),
        media_type=image.file.media_type,
        size=image.file.size,
        sha256=image.file_id,
        sop_instance_uid=image.sop_instance_uid,
        sop_instance_uid_minted=image.sop_instance_uid_minted,
        series_instance_uid=image.series.series_instance_uid,
        roles=list(sorted_image.roles),
        kept_aside_reason=sorted_image.reason,
        laterality=sorted_image.side.laterality,
        side_stop=sorted_image.side.stop,
        side_confirmed=sorted_image.side.confirmed,
        view=sorted_image.view,
        view_modifiers=list(sorted_image.modifiers),
        patient_orientation=list(facts.patient_orientation),
        presentation_intent=image.presentation_intent,
        rows=image.rows,
        columns=image.columns,
        frames=image.frames,
        pixel_spacing_um=image.pixel_spacing_um,
        pixel_spacing_row_um=row,
        pixel_spacing_column_um=column,
        pixel_spacing_source=image.pixel_spacing_source,
        scale_remarks=sorted_image.scale_sentences,
        regions=[_region(region) for region in facts.regions],
        frame_time_ms=facts.frame_time_ms,
        focal_planes=slide_of(image).focal_planes_um if image.kind == Instance.Kind.SLIDE else [],
        urls=image_urls(image, request.build_absolute_uri),
    )


def _region(region: Region) -> image_answers.RegionAnswer:
    column, row = region.spacing_um or (None, None)
    return image_answers.RegionAnswer(
        box=(region.x0, region.y0, region.x1, region.y1),
        kind=region.kind,
        pixel_spacing_row_um=row,
        pixel_spacing_column_um=column,
    )


def _finding(finding: Finding) -> answers.FindingAnswer:
    decision = decision_of(finding)
    return answers.FindingAnswer(
        id=finding.pk,
        number=finding.number,
        image=finding.instance_id,
        sop_instance_uid=finding.instance.sop_instance_uid,
        frame=finding.frame,
        source="model" if finding.job_id else "reader",
        model=finding.job.model_version.name if finding.job else None,
        model_version=finding.job.model_version.version if finding.job else None,
        label=finding.label,
        score=finding.score,
        score_of=mark_class(finding) if finding.score is not None else None,
        shown=not is_faint(finding),
        box=finding.box,
        polygon=finding.polygon,
        descriptors=finding.descriptors,
        decision=decision.verdict if decision else None,
        decision_reason=decision.reason if decision else None,
    )
