"""What the models said of a study, what readers made of it and what they measured, as plain JSON: shown beside the
report while it is written, and frozen into it at signing."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.analysis.verdict import Verdict, mark_class, thresholds_of, verdict_of
from cad_platform.reading.annotation_presenter import extent_of
from cad_platform.reading.annotations import reported
from cad_platform.reading.case_state import current_findings, current_jobs, decision_of, is_faint
from cad_platform.reading.models import Annotation, FindingDecision
from cad_platform.reading.wording import box_size, class_words, image_names, length_words, place_words
from cad_platform.reporting.content import FindingLine, ReportContent, StudyContent
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.sorting import unconfirmed

_Verdict = FindingDecision.Verdict
#: What becomes part of the signed record reads the same whatever language its reader works in.
_RECORD_LANGUAGE = "en"
#: Verdicts that put a model's finding into the report.
_REPORTED = {_Verdict.ACCEPTED.value, _Verdict.EDITED.value}


def summary_of(study: Study) -> dict[str, Any]:
    """Jobs with their provenance, findings with the decision that counts, and how many are undecided. Marks below the
    operating point that the site chose are counted and not listed."""
    jobs = current_jobs(study)
    images = sorted_images(study)
    with translation.override(_RECORD_LANGUAGE):
        names = image_names(images)
    places = {image.instance.pk: place for place, image in enumerate(images, start=1)}
    marked = current_findings(study, jobs)
    findings = [
        _finding(
            finding,
            names.get(finding.instance_id, ""),
            places.get(finding.instance_id, 0),
            decision_of(finding),
        )
        for finding in marked
        if not is_faint(finding)
    ]
    undecided = [f["number"] for f in findings if f["source"] == "model" and not f["decision"]]
    by_uid = {
        image.instance.sop_instance_uid: (names[image.instance.pk], image.instance.frames) for image in images
    }
    unsure = unconfirmed(images)
    return {
        "jobs": [
            _job(job, by_uid) | {"side_unconfirmed": any(image.is_scored for image in unsure)} for job in jobs
        ],
        "sides_unconfirmed": [names[image.instance.pk] for image in unsure],
        "findings": findings,
        "undecided": undecided,
        "measurements": [
            _measurement(each, names.get(each.instance_id, ""), places.get(each.instance_id, 0))
            for each in reported(study)
        ],
        "fainter_marks": len(marked) - len(findings),
        "false_marks_per_exam": study.site.false_marks_per_exam,
    }


def finding_lines(summary: dict[str, Any]) -> list[FindingLine]:
    """The findings that belong into a report: what readers accepted, edited or drew themselves; then what they put into
    it of their measurements."""
    found = [
        FindingLine(finding=uuid.UUID(finding["id"]), heading=heading(finding))
        for finding in summary["findings"]
        if is_reported(finding)
    ]
    with translation.override(_RECORD_LANGUAGE):
        return found + [
            FindingLine(finding=uuid.UUID(each["id"]), heading=measurement_words(each))
            for each in summary["measurements"]
        ]


def is_reported(finding: dict[str, Any]) -> bool:
    """Whether a finding belongs into the report: a reader accepted, edited or drew it. A mark that nobody decided on is
    none."""
    return (finding["source"] == "reader" and not _withdrawn(finding)) or _verdict(finding) in _REPORTED


def join_lines(written: list[FindingLine], current: list[FindingLine]) -> list[FindingLine]:
    """The current findings with what was already written about them. Words about a finding that is no longer
    reported stay, as a line of the reader's own."""
    by_finding = {line.finding: line for line in written if line.finding}
    joined = []
    for line in current:
        before = by_finding.pop(line.finding, None) if line.finding else None
        joined.append(line.model_copy(update={"text": before.text}) if before else line)
    for line in written:
        if line.finding is None:
            joined.append(line)
        elif line.finding in by_finding and line.text.strip():
            joined.append(FindingLine(text=line.text))
    return joined


def with_current_lines(content: ReportContent, study: Study) -> ReportContent:
    """The content with the finding lines that follow from the decisions so far, and their texts."""
    if not isinstance(content, StudyContent):
        return content
    lines = join_lines(content.findings, finding_lines(summary_of(study)))
    return content.model_copy(update={"findings": lines})


def heading(finding: dict[str, Any]) -> str:
    """`2 · L CC · mass · 12.0 × 9.0 mm`: number, place, label and size where the pixel size is known."""
    decision = finding["decision"] or {}
    label = decision.get("label") or finding["label"]
    parts = [str(finding["number"]), finding["image"]["name"], label.replace("_", " ")]
    if spacing_um := _spacing(finding["image"]):
        with translation.override(_RECORD_LANGUAGE):
            parts.append(box_size(decision.get("box") or finding["box"], spacing_um))
    return " · ".join(part for part in parts if part)


def heading_words(finding: dict[str, Any]) -> str:
    """`heading` in the language in use, for a page or a document; the record keeps its own."""
    decision, image = finding["decision"] or {}, finding["image"]
    parts = [
        str(finding["number"]),
        place_words(image["name"]),
        class_words(decision.get("label") or finding["label"]),
    ]
    if spacing_um := _spacing(image):
        parts.append(box_size(decision.get("box") or finding["box"], spacing_um))
    return " · ".join(part for part in parts if part)


def measurement_words(measured: dict[str, Any]) -> str:
    """`L CC · length 12.3 mm · the reader's note` in the language in use."""
    image, frame = measured["image"], measured["frame"]
    parts = [
        place_words(image["name"]),
        "" if frame is None else _("frame %(frame)d") % {"frame": frame + 1},
        _("arrow")
        if measured["kind"] == Annotation.Kind.ARROW
        else _("length %(length)s") % {"length": length_words(measured["points"], _spacing(image))},
        measured["note"],
    ]
    return " · ".join(part for part in parts if part)


def _spacing(image: dict[str, Any]) -> tuple[float, float] | None:
    """µm per pixel (x, y) where the mark is. Records of before 2.3 have one number for the image."""
    if "spacing_um" in image:
        return tuple(image["spacing_um"]) if image["spacing_um"] else None
    both = image["pixel_spacing_um"]
    return (both, both) if both else None


def headings_of(summary: dict[str, Any]) -> dict[uuid.UUID | None, str]:
    """`heading_words` of each finding and `measurement_words` of each measurement, by its id. Records of before 2.3
    have no measurements."""
    found = {each["id"]: heading_words(each) for each in summary.get("findings", [])}
    found |= {each["id"]: measurement_words(each) for each in summary.get("measurements", [])}
    return {uuid.UUID(key): words for key, words in found.items()}


def _verdict(finding: dict[str, Any]) -> str:
    return str(finding["decision"]["verdict"]) if finding["decision"] else ""


def _withdrawn(finding: dict[str, Any]) -> bool:
    return _verdict(finding) == _Verdict.REJECTED.value


def _job(job: AnalysisJob, images: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    # Whether somebody works on it just now is no statement about the patient.
    is_open = job.state in AnalysisJob.OPEN
    result = job.result or {}
    model = result.get("model", {})
    manifest = job.model_version.manifest
    verdict = verdict_of(job) or Verdict(is_given=False)
    return {
        "id": str(job.pk),
        "model": job.model_version.name,
        "title": str(manifest.get("title") or job.model_version.name),
        "version": job.model_version.version,
        "state": str(AnalysisJob.State.REQUESTED) if is_open else job.state,
        "reason": "" if is_open else job.reason,
        "positive_class": manifest.get("positive_class", ""),
        "modality": job.model_version.modality,
        "has_verdict": verdict.is_given,
        "is_partial": verdict.is_partial,
        # Empty where there is no verdict: what is no statement about the patient is not signed.
        "probabilities": _rounded(verdict.probabilities),
        "breasts": {side: _rounded(values) for side, values in verdict.breasts.items()},
        "flags": list(verdict.flags),
        "images_read": [
            {
                "name": images.get(image["image_id"], ("", 1))[0],
                "frames": images.get(image["image_id"], ("", 1))[1],
                "frames_read": list(image.get("frames_read") or [0]),
                "not_read": image.get("not_read", ""),
                "is_judged": image["image_id"] not in verdict.unlike,
            }
            for image in result.get("images", [])
        ],
        "thresholds": _rounded(thresholds_of(job)) if result else {},
        "weights_sha256": model.get("weights_sha256", job.model_version.weights_sha256),
        "preprocessing_sha256": model.get("preprocessing_sha256", ""),
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }


def _finding(finding: Finding, image: str, place: int, decision: FindingDecision | None) -> dict[str, Any]:
    instance = finding.instance
    spacing_um = instance.spacing_in((decision.box if decision else None) or finding.box)
    return {
        "id": str(finding.pk),
        "number": finding.number,
        "source": "reader" if finding.author_id else "model",
        "author": finding.author.printed_name if finding.author else "",
        "label": finding.label,
        "score": None if finding.score is None else round(finding.score, 4),
        "score_of": mark_class(finding),
        "frame": finding.frame,
        "box": [float(value) for value in finding.box],
        "image": {
            "sop_instance_uid": instance.sop_instance_uid,
            "name": image,
            "place": place,
            "pixel_spacing_um": instance.pixel_spacing_um,
            "spacing_um": list(spacing_um) if spacing_um else None,
        },
        "decision": _decision(decision),
    }


def _measurement(annotation: Annotation, image: str, place: int) -> dict[str, Any]:
    spacing_um = annotation.instance.spacing_in(extent_of(annotation))
    return {
        "id": str(annotation.pk),
        "kind": annotation.kind,
        "author": annotation.author.printed_name,
        "frame": annotation.frame,
        "points": [[float(x), float(y)] for x, y in annotation.points],
        "note": annotation.note,
        "image": {
            "sop_instance_uid": annotation.instance.sop_instance_uid,
            "name": image,
            "place": place,
            "spacing_um": list(spacing_um) if spacing_um else None,
        },
    }


def _decision(decision: FindingDecision | None) -> dict[str, Any] | None:
    """The newest decision; an undo is none."""
    if decision is None or decision.verdict == _Verdict.UNDECIDED:
        return None
    return {
        "verdict": decision.verdict,
        "reason": decision.reason,
        "label": decision.label,
        "box": [float(value) for value in decision.box] if decision.box else None,
        "reader": decision.reader.printed_name,
        "decided_at": decision.decided_at.isoformat(),
    }


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
