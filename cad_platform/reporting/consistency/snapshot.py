"""A report and its case as the rules look at them, from the database."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import translation

from cad_platform.analysis.models import AnalysisJob
from cad_platform.audit.selectors import opened_by_persons
from cad_platform.modalities.modality import ReportProfile
from cad_platform.reading.case_state import current_jobs
from cad_platform.reading.wording import image_names
from cad_platform.reporting import amendments
from cad_platform.reporting import content as contents
from cad_platform.reporting.consistency.case import Arrival, Case, Mark, Picture, Place, Result, Role, Text
from cad_platform.reporting.consistency.engine import contradictions
from cad_platform.reporting.content import ReportContent, StudyContent
from cad_platform.reporting.fields import FindingLines, declared
from cad_platform.reporting.kinds.addendum import AddendumContent
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.sorting import SortedImage

#: What the texts of the forms are; one that is not here is a remark. Why something was amended quotes what was wrong.
_ROLES: Mapping[str, Role] = {
    "impression": "conclusion",
    "recommendation_text": "conclusion",
    "diagnosis_text": "conclusion",
    "site": "conclusion",
    "text": "conclusion",
    "indication": "history",
    "clinical": "history",
}
_UNREAD = frozenset({"comparison", "reason"})
#: What is said in the record is said in English, whatever language its writer works in.
_RECORD_LANGUAGE = "en"
_MALIGNANCY = frozenset({"malignancy", "malignant"})
_STATES = {
    AnalysisJob.State.REQUESTED: "open",
    AnalysisJob.State.FAILED: "failed",
}


def case_of(
    report: Report, content: ReportContent, summary: Mapping[str, Any], *, looked_at: datetime | None = None
) -> Case:
    """The case of a draft.

    Parameters
    ----------
    report
        With its study; of an addendum with what it amends.
    content
        What it says now, saved or about to be.
    summary
        `ai_summary.summary_of` its study.
    looked_at
        When somebody last looked at the report together with its case; by default when it was last saved.
    """
    study = report.study
    profile = contents.profile_of(study.modality)
    images = sorted_images(study)
    with translation.override(_RECORD_LANGUAGE):
        names = image_names(images)
    by_uid = {image.instance.sop_instance_uid: image for image in images}
    marks = tuple(_mark(finding, by_uid) for finding in summary["findings"])
    said = (
        _amending(report, content, marks, by_uid, profile)
        if isinstance(content, AddendumContent)
        else {"kind": content.kind, "codes": _codes(content), "texts": tuple(_texts(content, marks))}
    )
    return Case(
        **said,
        marks=marks,
        pictures=tuple(_picture(image, names) for image in images if "hung" in image.roles),
        results=tuple(
            Result(job["id"], job["title"], _STATES.get(job["state"], "ended"))  # type: ignore[arg-type]
            for job in summary["jobs"]
        ),
        arrivals=tuple(_arrivals(study, names, looked_at or report.updated_at)),
        unseen=_unseen(images, names),
        quarantined=tuple(
            study.quarantined_files.order_by("received_at").values_list("file_name", flat=True)
        ),
        has_categories=profile.has_assessment,
    )


def _unseen(images: list[SortedImage], names: Mapping[uuid.UUID, str]) -> tuple[Picture, ...]:
    aside = [image for image in images if image.is_kept_aside]
    if not aside:
        return ()
    opened = opened_by_persons("image.view", "instance", [image.instance.pk for image in aside])
    return tuple(_picture(image, names) for image in aside if str(image.instance.pk) not in opened)


def _picture(image: SortedImage, names: Mapping[uuid.UUID, str]) -> Picture:
    key = image.instance.pk
    return Picture(str(key), names[key], image.side.laterality, bool(image.side.stop))


def _mark(finding: Mapping[str, Any], images: Mapping[str, SortedImage]) -> Mark:
    image, decision = finding["image"], finding["decision"] or {}
    shown = images.get(image["sop_instance_uid"])
    verdict = str(decision.get("verdict", ""))
    if finding["source"] == "reader" and verdict != "rejected":
        verdict = "own"
    box = decision.get("box") or finding["box"]
    spacing = image.get("spacing_um")  # no record of before 2.3 has it
    size = ((box[2] - box[0]) * spacing[0] / 1000, (box[3] - box[1]) * spacing[1] / 1000) if spacing else None
    return Mark(
        id=finding["id"],
        number=finding["number"],
        label=decision.get("label") or finding["label"],
        verdict=verdict,
        side=shown.side.laterality if shown else "",
        size_mm=size,
        malignancy=finding["score"] if finding.get("score_of") in _MALIGNANCY else None,
    )


def _texts(content: ReportContent, marks: tuple[Mark, ...]) -> list[Text]:
    found = []
    for item in declared(type(content)):
        if item.is_text and item.name not in _UNREAD:
            role = _ROLES.get(item.name, "remark")
            found.append(Text(Place("field", item.name), getattr(content, item.name), role))
    if isinstance(content, StudyContent):
        by_id = {mark.id: mark for mark in marks}
        for number, line in enumerate(content.findings):
            mark = by_id.get(str(line.finding))
            name = str(line.finding) if line.finding else str(number)
            side, of = (mark.side, mark.id) if mark else ("", "")
            found.append(Text(Place("line", name), line.text, "description", side, of))
    return found


def _amending(
    report: Report,
    content: AddendumContent,
    marks: tuple[Mark, ...],
    by_uid: Mapping[str, SortedImage],
    profile: ReportProfile,
) -> dict[str, Any]:
    """What stands with an addendum: the report as amended, which codes it changes, and what was said or signed under
    before. A contradiction of the report as it stood is no business of its addendum."""
    assert report.amends is not None
    standing = amendments.before(report)
    after = amendments.amended(standing, content)
    before, codes = _codes(standing), _codes(after)
    signed = [report.amends, *amendments.addenda_of(report.amends)]
    known = tuple(_mark(finding, by_uid) for finding in report.amends.ai_summary.get("findings", []))
    told = contradictions(
        Case(
            kind=standing.kind,
            codes=before,
            texts=tuple(_texts(standing, known)),
            marks=known,
            has_categories=profile.has_assessment,
        )
    )
    return {
        "kind": standing.kind,
        "codes": {**codes, "assessment_before": before.get("assessment", "")},
        "changed": frozenset(name for name, value in codes.items() if value != before.get(name)),
        "settled": frozenset(override["key"] for each in signed for override in each.overrides)
        | {each.key for each in told},
        "texts": (
            *_texts(after, marks),
            *(text for text in _texts(content, marks) if text.place.name not in type(after).model_fields),
        ),
    }


def _codes(content: ReportContent) -> dict[str, Any]:
    """What is coded and given."""
    values = {
        item.name: getattr(content, item.name)
        for item in declared(type(content))
        if not item.is_text and not isinstance(item.declaration, FindingLines)
    }
    return {name: value for name, value in values.items() if value not in (None, "")}


def _arrivals(study: Study, names: Mapping[uuid.UUID, str], looked_at: datetime) -> list[Arrival]:
    """What came after that moment."""
    found = []
    images = study.series.filter(instances__received_at__gt=looked_at).values_list("instances", flat=True)
    late = set(images)
    found += [Arrival("image", Place("image", str(key)), name) for key, name in names.items() if key in late]
    for job in current_jobs(study):
        if job.finished_at and job.finished_at > looked_at and job.state == AnalysisJob.State.SUCCEEDED:
            title = str(job.model_version.manifest.get("title") or job.model_version.name)
            found.append(Arrival("result", Place("result", str(job.pk)), title))
    for correction in study.corrections.filter(at__gt=looked_at):
        found.append(Arrival("correction", Place("study"), correction.reason))
    return found
