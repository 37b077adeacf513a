"""What the case page shows, made from a `CaseRecord`; no HTTP, no queries."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.urls import reverse
from django.utils.translation import gettext as _

from cad_platform import modalities
from cad_platform.analysis.verdict import verdict_of
from cad_platform.reading import wording
from cad_platform.reading.analysis_presenter import AnalysisView, EarlierView, analyses, earlier, frames_read
from cad_platform.reading.finding_presenter import FindingView, finding_view
from cad_platform.reading.identity_words import about_patient
from cad_platform.reading.models import FindingDecision
from cad_platform.reading.page_answers import (
    CaseAddresses,
    CaseDescription,
    CaseFinding,
    CaseHeatmap,
    CaseImage,
    CaseRegion,
    case_words,
)
from cad_platform.reading.presenters import age_at
from cad_platform.reading.selectors import CaseRecord
from cad_platform.reading.states import ReadingState
from cad_platform.reading.view_answers import KeptViews
from cad_platform.studies.addresses import image_urls
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.sorting import SortedImage

Verdict = FindingDecision.Verdict


@dataclass(frozen=True)
class CaseHeader:
    uid: str
    patient_name: str
    patient_id: str
    issuer: str
    birth_date: Any
    birth_date_sent: str
    contradictions: list[str]
    sex: str
    age: int | None
    modality: str
    modality_name: str
    procedure: str
    accession_number: str
    study_date: Any
    received_at: datetime
    state: str
    state_words: str
    priority: str
    priority_words: str
    withdrawn_reason: str


@dataclass(frozen=True)
class OtherStudy:
    url: str
    modality_name: str
    procedure: str
    study_date: Any
    state_words: str


@dataclass(frozen=True)
class SideView:
    """The side of one image, to be confirmed or put right."""

    image_id: str
    name: str
    side: str
    side_words: str
    stop: str
    confirmed: str
    """By whom it was confirmed, and why; empty where nobody did."""


@dataclass(frozen=True)
class CasePage:
    header: CaseHeader
    images: list[CaseImage]
    hanging: str
    sides: list[SideView]
    analyses: list[AnalysisView]
    earlier: list[EarlierView]
    findings: list[FindingView]
    others: list[OtherStudy]
    labels: list[tuple[str, str]]
    reject_reasons: list[str]
    edit_reasons: list[str]
    is_locked: bool
    false_marks: str
    frames_read: dict[str, str]
    """Image id → which of its frames the models read."""

    @property
    def scales(self) -> list[tuple[str, list[str]]]:
        """Name and sentences of every image whose scale is open, or not all that its file gives."""
        return [(image.name, image.scale_sentences) for image in self.images if image.scale_sentences]

    @property
    def unsure_sides(self) -> list[SideView]:
        return [side for side in self.sides if side.stop]

    @property
    def shown(self) -> list[FindingView]:
        """Those that the list begins with."""
        return [finding for finding in self.findings if not finding.is_faint]

    @property
    def faint(self) -> list[FindingView]:
        """Those below the operating point that the site chose: shown when asked for."""
        return [finding for finding in self.findings if finding.is_faint]

    @property
    def undecided(self) -> int:
        return sum(not finding.decided and not finding.by_reader for finding in self.shown)

    def viewer_findings(self) -> list[dict[str, Any]]:
        """What the viewers draw, as JSON (`CaseFinding`)."""
        return [
            CaseFinding(
                id=finding.id,
                number=finding.number,
                image=finding.image_id,
                frame=finding.frame,
                shown=not finding.is_faint,
                percent=finding.percent,
                verdict=cast(Any, finding.verdict),
                by_reader=finding.by_reader,
                box=cast(Any, finding.box),
                polygon=cast(Any, finding.polygon),
            ).as_json()
            for finding in self.findings
        ]

    def heatmaps(self) -> dict[str, Any]:
        """Image id → its heat map, as JSON; a result may bring them while the case is open."""
        return {image.id: image.heatmap.as_json() for image in self.images if image.heatmap}

    @property
    def image_names(self) -> dict[uuid.UUID, str]:
        return {uuid.UUID(image.id): image.name for image in self.images}

    def description(self, kept: KeptViews | None = None, *, may_annotate: bool = False) -> dict[str, Any]:
        """What the viewers start from, as JSON (`CaseDescription`), with how its reader left it."""
        return CaseDescription(
            study=self.header.uid,
            hanging=self.hanging,
            images=self.images,
            kept=kept,
            may_annotate=may_annotate,
            addresses=_addresses(self.header.uid),
            words=case_words(),
        ).as_json()


def case_page(case: CaseRecord) -> CasePage:
    """Compose the page."""
    names = wording.image_names(case.images)
    # What lights up in an image that the model cannot judge means nothing.
    unlike = {uid for job in case.jobs if (verdict := verdict_of(job)) for uid in verdict.unlike}
    frames = {
        (job.id, image["image_id"]): image.get("map_frame", 0)
        for job in case.jobs
        if job.result
        for image in job.result["images"]
    }
    heatmaps = {
        artefact.instance_id: CaseHeatmap(
            url=reverse("artefact", args=[artefact.id]),
            frame=frames.get((artefact.job_id, artefact.instance.sop_instance_uid), 0),
        )
        for artefact in case.artefacts
        if artefact.kind == "heatmap" and artefact.instance.sop_instance_uid not in unlike
    }
    current = {job.id for job in case.jobs}
    modality = modalities.get(case.study.modality)
    return CasePage(
        header=_header(case),
        images=[
            _image(image, names[image.instance.pk], heatmaps.get(image.instance.pk)) for image in case.images
        ],
        hanging=modality.hanging,
        sides=[_side(image, names[image.instance.pk]) for image in case.images if image.has_side],
        analyses=analyses(
            case.jobs,
            case,
            {image.instance.sop_instance_uid: names[image.instance.pk] for image in case.images},
        ),
        earlier=earlier(case),
        findings=[
            finding_view(
                finding,
                names.get(finding.instance_id, ""),
                is_earlier=finding.job_id is not None and finding.job_id not in current,
            )
            for finding in case.findings
        ],
        others=[_other(study) for study in case.other_studies],
        labels=[(label, str(words)) for label, words in modality.labels.items()],
        reject_reasons=[str(reason) for reason in modality.reject_reasons],
        edit_reasons=[str(reason) for reason in wording.EDIT_REASONS],
        is_locked=case.is_locked,
        false_marks=f"{case.study.site.false_marks_per_exam:g}",
        frames_read=frames_read(case.jobs, case.images),
    )


def _header(case: CaseRecord) -> CaseHeader:
    study, patient = case.study, case.study.patient
    return CaseHeader(
        uid=study.study_instance_uid,
        patient_name=patient.full_name if patient else "",
        patient_id=patient.patient_id if patient else "",
        issuer=patient.other_issuer(study.site) if patient else "",
        birth_date=patient.birth_date if patient else None,
        birth_date_sent=patient.birth_date_sent if patient else "",
        contradictions=about_patient(study),
        sex=str(patient.get_sex_display()) if patient and patient.sex else "",
        age=age_at(patient.birth_date, study.study_date or study.received_at.date()) if patient else None,
        modality=study.modality,
        modality_name=modalities.name_of(study.modality),
        procedure=study.procedure,
        accession_number=study.accession_number,
        study_date=study.study_date,
        received_at=study.received_at,
        state=case.reading_state,
        state_words=str(ReadingState(case.reading_state).label),
        priority=study.priority,
        priority_words=str(Study.Priority(study.priority).label),
        withdrawn_reason=study.withdrawn_reason,
    )


def _addresses(uid: str) -> CaseAddresses:
    nothing = uuid.UUID(int=0)

    def address(name: str) -> str:
        return reverse(name, args=[uid, nothing]).replace(str(nothing), "{id}")

    return CaseAddresses(
        stage_view=reverse("stage-view", args=[uid]),
        image_view=address("image-view"),
        annotation=address("annotation"),
        annotation_report=address("annotation-report"),
    )


def _side(image: SortedImage, name: str) -> SideView:
    words = {"L": _("left"), "R": _("right")}.get(image.side.laterality, _("unknown"))
    return SideView(
        image_id=str(image.instance.pk),
        name=name,
        side=image.side.laterality,
        side_words=words,
        stop=image.side.stop,
        confirmed=image.side.confirmed_by,
    )


def _image(image: SortedImage, name: str, heatmap: CaseHeatmap | None) -> CaseImage:
    instance, facts = image.instance, image.facts
    return CaseImage(
        id=str(instance.pk),
        name=name,
        kind=cast(Any, instance.kind),
        is_photograph=instance.kind != Instance.Kind.SLIDE and modalities.get(image.modality).photographs,
        laterality=image.side.laterality,
        view=image.view,
        rows=instance.rows,
        columns=instance.columns,
        frames=instance.frames,
        view_modifiers=list(image.modifiers),
        roles=list(image.roles),
        kept_aside_reason=image.reason,
        turn=image.turned.turn,
        mirror=image.turned.mirror,
        turned_by=image.turned.source,
        side_stop=image.side.stop,
        pixel_spacing_um=instance.pixel_spacing_um,
        spacing_um=instance.spacing_um,
        scale_reason=image.scale_reason,
        scale_sentences=image.scale_sentences,
        pixel_aspect=facts.pixel_aspect,
        regions=[
            CaseRegion(box=(part.x0, part.y0, part.x1, part.y1), spacing_um=part.spacing_um)
            for part in facts.regions
        ],
        frame_time_ms=facts.frame_time_ms,
        urls=image_urls(instance),
        heatmap=heatmap,
    )


def _other(study: Study) -> OtherStudy:
    return OtherStudy(
        url=reverse("case", args=[study.study_instance_uid]),
        modality_name=modalities.name_of(study.modality),
        procedure=study.procedure,
        study_date=study.study_date or study.received_at.date(),
        state_words=str(ReadingState(study.reading_state).label),  # type: ignore[attr-defined]
    )
