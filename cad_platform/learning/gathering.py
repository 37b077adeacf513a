"""Which images of a site a model may learn from, and what is true of each: read from signed reports alone.

What is true of an image has the owners that the figures ask too: pathology of its breast, else a final report that
leaves nothing open (`quality.truth`, `quality.facts`). What is not settled, not consented to, or carries names by its
own word is left out, and counted by its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from cad_platform import modalities
from cad_platform.accounts.models import KNOWN_CASES_SITE, Site
from cad_platform.analysis.models import Finding
from cad_platform.learning.consent import consenting
from cad_platform.quality.facts import diagnosis_of
from cad_platform.quality.truth import proven_positive, said_positive, settled
from cad_platform.reading.case_state import TAKEN_OVER, current_findings, decision_of
from cad_platform.reporting import amendments
from cad_platform.reporting.content import ReportContent
from cad_platform.reporting.models import Report
from cad_platform.reporting.vocabulary import Assessment, Diagnosis
from cad_platform.studies import storage
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.sorting import SortedImage
from imaging import sandbox
from imaging.errors import ImagingError

MALIGNANT, BENIGN, NORMAL = "malignant", "benign", "normal"
PATHOLOGY, REPORT = "pathology", "report"

#: Reason → its words, of images that are left out.
REASONS: dict[str, str | Promise] = {
    "no_consent": _("the patient has not consented"),
    "being_amended": _("an addendum is being written"),
    "not_read": _("not read by the models: kept aside, a clip or a slide"),
    "side_unsure": _("it is not sure which breast is shown"),
    "names_in_pixels": _("the file says that names stand in its pixels"),
    "unreadable": _("the file cannot be read any more"),
    "not_settled": _("neither pathology nor the report settles what it shows"),
}


@dataclass(frozen=True)
class Gathered:
    """One image that may be learned from."""

    study: Study
    instance: Instance
    report: Report
    """Signed last: the report or an addendum of it."""
    report_version: int
    label: str
    label_from: str
    side: str
    view: str
    assessment: str
    findings: list[dict[str, Any]]


def can_be_gathered(modality: str) -> bool:
    """Whether images of this modality can be learned from: of breasts that a report assesses, not whole slides."""
    return modalities.is_registered(modality) and modalities.get(modality).report.has_assessment


def gather(site: Site, modality: str) -> tuple[list[Gathered], Counter[str]]:
    """Every image of the site's signed studies of a modality that may be learned from, and how many may not, by
    reason."""
    studies = list(_signed_studies(site, modality))
    may = consenting({study.patient_id for study in studies if study.patient_id})
    found: list[Gathered] = []
    left_out: Counter[str] = Counter()
    for study in studies:
        for image, reason, gathered in _of_study(study, study.patient_id in may):
            if gathered is not None:
                found.append(gathered)
            elif not image.is_kept_aside:
                left_out[reason] += 1
    return found, left_out


def _signed_studies(site: Site, modality: str) -> QuerySet[Study]:
    signed = Report.objects.filter(kind=Report.Kind.REPORT, state=Report.State.SIGNED)
    return (
        Study.objects.filter(
            site=site, modality=modality, state=Study.State.COMPLETE, withdrawn_at__isnull=True,
            erased_at__isnull=True, patient__isnull=False, pk__in=signed.values("study"),
        )
        .exclude(site__code=KNOWN_CASES_SITE)
        .select_related("site", "patient", "report_standing")
        .order_by("received_at", "pk")
    )  # fmt: skip


def _of_study(study: Study, may: bool) -> Iterator[tuple[SortedImage, str, Gathered | None]]:
    """Each image with the reason why it is left out, or with what is true of it."""
    images = sorted_images(study)
    if not may or study.report_standing.has_draft:
        for image in images:
            yield image, "being_amended" if may else "no_consent", None
        return
    report = Report.objects.select_related("signature").get(study=study, kind=Report.Kind.REPORT)
    addenda = amendments.addenda_of(report)
    content = amendments.counting(report, addenda)
    last = addenda[-1] if addenda else report
    marks = _marks(study)
    sides = {image.side.laterality for image in images if image.is_scored}
    for image in images:
        reason, label, label_from, assessment = _judged(study, image, content, several=len(sides) > 1)
        if reason:
            yield image, reason, None
            continue
        yield image, "", Gathered(
            study=study, instance=image.instance, report=last, report_version=1 + len(addenda), label=label,
            label_from=label_from, side=image.side.laterality, view=image.view, assessment=assessment,
            findings=marks.get(str(image.instance.pk), []),
        )  # fmt: skip


def _judged(
    study: Study, image: SortedImage, content: ReportContent, *, several: bool
) -> tuple[str, str, str, str]:
    """Why an image is left out, or its label, where that is from, and the assessment of its breast."""
    instance, side = image.instance, image.side.laterality
    if (
        not image.is_scored
        or image.modality != study.modality
        or instance.kind == Instance.Kind.SLIDE
        or instance.frames != 1
    ):
        return "not_read", "", "", ""
    if image.side.stop or (several and not side):
        return "side_unsure", "", "", ""
    # Of an exam of both breasts only what is said of this one says what this image shows.
    own = {"R": getattr(content, "right", ""), "L": getattr(content, "left", "")}.get(side, "")
    assessment = str(own or ("" if several else getattr(content, "assessment", "")) or "")
    diagnosis = diagnosis_of(study, side if several else "")
    proven = proven_positive(MALIGNANT, diagnosis) if diagnosis else None
    truth = settled(MALIGNANT, proven, said_positive(MALIGNANT, assessment) if assessment else None)
    if truth is None:
        return "not_settled", "", "", ""
    # Last, since it opens the file.
    if said := _why_not_shown(instance):
        return said, "", "", ""
    if truth:
        label = MALIGNANT
    elif diagnosis == Diagnosis.NORMAL or (proven is None and assessment == Assessment.NEGATIVE):
        label = NORMAL
    else:
        label = BENIGN
    return "", label, PATHOLOGY if proven is not None else REPORT, assessment


def _why_not_shown(instance: Instance) -> str:
    """What the file's own header says against showing its pixels to others; it is read for this alone."""
    if instance.kind != Instance.Kind.DICOM:
        return ""
    try:
        with storage.open(instance.file_id) as path:
            header = sandbox.describe(path).header
    except ImagingError:
        return "unreadable"
    return "names_in_pixels" if header is not None and header.burned_in_annotation else ""


def _marks(study: Study) -> dict[str, list[dict[str, Any]]]:
    """Image → what a reader accepted, edited or drew, as it was signed; what was rejected is no finding."""
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in current_findings(study):
        decision = decision_of(finding)
        taken = decision is not None and decision.verdict in TAKEN_OVER
        if not taken and (finding.job_id is not None or decision is not None):
            continue
        box, label = finding.box, finding.label
        if decision is not None and taken:
            box, label = decision.box or box, decision.label or label
        found.setdefault(str(finding.instance_id), []).append(
            {"box": [round(float(at), 1) for at in box], "label": label, "marked_by": _marked_by(finding)}
        )
    return found


def _marked_by(finding: Finding) -> str:
    return "model" if finding.job_id is not None else "reader"
