"""What the case page says of each model's analysis, made from jobs; no HTTP, no queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.reasons import reason_words
from cad_platform.analysis.verdict import Verdict, thresholds_of, verdict_of
from cad_platform.core.punctuation import clauses
from cad_platform.reading import wording
from cad_platform.reading.presenters import AiCell, ai_cell, job_words, without_job
from cad_platform.reading.selectors import CaseRecord
from cad_platform.registry.manifest_words import manifest_words
from cad_platform.registry.thresholds import behind
from cad_platform.studies.models import Study
from cad_platform.studies.sorting import SortedImage, unconfirmed


@dataclass(frozen=True)
class ClassScore:
    name: str
    percent: int
    value: float
    is_positive: bool


@dataclass(frozen=True)
class SideScore:
    """The score of one breast, or of one image; no score of an image that the model cannot judge."""

    name: str
    score: wording.Score | None
    flags: list[wording.Flag] = field(default_factory=list)


@dataclass(frozen=True)
class Provenance:
    """Which bytes produced the result, so that it can be produced again."""

    model: str
    version: str
    weights: str
    weights_full: str
    preprocessing: str
    preprocessing_full: str
    thresholds: list[tuple[str, float]]
    thresholds_of: str
    finished_at: datetime | None
    model_ms: float
    total_ms: float
    licence: str
    intended_use: str


@dataclass(frozen=True)
class AnalysisView:
    id: str
    model_title: str
    cell: AiCell
    is_open: bool
    classes: list[ClassScore]
    breasts: list[SideScore]
    images: list[SideScore]
    provenance: Provenance | None
    after_signature: bool = False


@dataclass(frozen=True)
class EarlierView:
    """A job that no longer counts: the history of a case."""

    version: str
    at: datetime
    words: str
    percent: int | None
    why: str
    flags: list[wording.Flag] = field(default_factory=list)


def analyses(jobs: list[AnalysisJob], case: CaseRecord, names: Mapping[str, str]) -> list[AnalysisView]:
    """A view of each job; of a study without any, whether it waits for one. `names` of images by their SOP Instance
    UID."""
    views = [_analysis(job, case, names) for job in jobs]
    if not views and case.study.state == Study.State.COMPLETE:
        cell = without_job(case.awaits_job)
        views = [AnalysisView("", _("Analysis"), cell, cell.kind == "busy", [], [], [], None)]
    return views


def frames_read(jobs: Iterable[AnalysisJob], images: Iterable[SortedImage]) -> dict[str, str]:
    """Which frames of each clip the models read, in words, by the image's id."""
    frames = {
        image.instance.sop_instance_uid: image.instance for image in images if image.instance.frames > 1
    }
    said: dict[str, list[str]] = {}
    for job in jobs:
        for image in (job.result or {}).get("images", []):
            if instance := frames.get(image["image_id"]):
                # Results of before say nothing: the models read the first frame then.
                words = wording.frames_words(image.get("frames_read") or [0], instance.frames)
                said.setdefault(str(instance.pk), []).append(words)
    return {
        image: _("AI read %(frames)s") % {"frames": clauses(dict.fromkeys(words))}
        for image, words in said.items()
    }


def earlier(case: CaseRecord) -> list[EarlierView]:
    """The results that no longer count, newest first, each with the reason why."""
    views = []
    for job in case.earlier_jobs:
        cell = job_words(job, job.model_version.modality)
        changed = job.content_hash != case.study.content_hash
        why = _("of earlier images of the study") if changed else _("another version is in use")
        views.append(
            EarlierView(
                version=str(job.model_version),
                at=job.finished_at or job.requested_at,
                words=cell.words,
                percent=cell.score.percent if cell.score else None,
                why=why,
                flags=cell.flags,
            )
        )
    return views


def _analysis(job: AnalysisJob, case: CaseRecord, names: Mapping[str, str]) -> AnalysisView:
    modality = job.model_version.modality
    manifest = job.model_version.manifest
    result = job.result or {}
    thresholds = thresholds_of(job)
    positive = manifest.get("positive_class", "")
    cell = ai_cell(job, modality)
    verdict = verdict_of(job) or Verdict(is_given=False)

    def positive_score(probabilities: Mapping[str, float]) -> wording.Score | None:
        value = probabilities.get(positive)
        return wording.score(value, thresholds, modality, of=positive) if value is not None else None

    breasts, images = [], []
    is_sure = not unconfirmed(image for image in case.images if image.is_scored)
    for side in ("R", "L"):
        score = positive_score(verdict.breasts.get(side, {}))
        if score:
            breasts.append(SideScore(wording.breast_words(side, is_sure=is_sure), score))
    for image in result.get("images", []):
        is_unlike = image["image_id"] in verdict.unlike
        score = None if is_unlike else positive_score(image.get("probabilities", {}))
        if why := image.get("not_read"):
            unread = wording.Flag("not_read", _("Not read"), reason_words(why))
            images.append(SideScore(names.get(image["image_id"], ""), None, [unread]))
        elif (score or is_unlike) and len(result["images"]) > 1:
            flags = [wording.flag(code) for code in image.get("flags", [])]
            images.append(SideScore(names.get(image["image_id"], ""), score, flags))
    return AnalysisView(
        id=str(job.id),
        model_title=manifest_words(manifest.get("title", "")) or wording.class_words(job.model_version.name),
        cell=cell,
        is_open=job.state in AnalysisJob.OPEN,
        classes=[
            ClassScore(wording.class_words(name), wording.percent_of(value), value, name == positive)
            for name, value in verdict.probabilities.items()
        ],
        breasts=breasts,
        images=images,
        provenance=_provenance(job, result, thresholds, case.study.site_id) if result else None,
        after_signature=_is_after_signature(job, case.signed_jobs),
    )


def _is_after_signature(job: AnalysisJob, signed: Mapping[str, str] | None) -> bool:
    """Whether the signed report does not know how the job ended. Its record tells: two machines' clocks differ."""
    if signed is None or job.state in AnalysisJob.OPEN:
        return False
    return signed.get(str(job.pk)) != job.state


def _provenance(
    job: AnalysisJob, result: Mapping[str, Any], thresholds: Mapping[str, float], site_id: int
) -> Provenance:
    identity, timings = result["model"], result.get("timings", {})
    manifest = job.model_version.manifest
    return Provenance(
        model=identity["name"],
        version=identity["version"],
        weights=identity["weights_sha256"][:12],
        weights_full=identity["weights_sha256"],
        preprocessing=identity["preprocessing_sha256"][:12],
        preprocessing_full=identity["preprocessing_sha256"],
        thresholds=[
            (wording.point_words(name), value)
            for name, value in sorted(thresholds.items(), key=lambda item: item[1])
        ],
        thresholds_of=_thresholds_of(job, thresholds, site_id),
        finished_at=job.finished_at,
        model_ms=timings.get("model_ms", 0.0),
        total_ms=timings.get("total_ms", 0.0),
        licence=manifest_words(manifest.get("licence", "")),
        intended_use=manifest_words(manifest.get("intended_use", "")),
    )


def _thresholds_of(job: AnalysisJob, thresholds: Mapping[str, float], site_id: int) -> str:
    """Whose operating points the result was made with, in words."""
    own = behind(job.model_version, site_id, thresholds)
    if own is None or own.signed_by is None or own.signed_at is None:
        return _("as shipped with the version")
    return _("of this site, number %(number)d, proposed by %(one)s, signed by %(other)s on %(day)s") % {
        "number": own.number, "one": own.proposed_by.printed_name, "other": own.signed_by.printed_name,
        "day": f"{own.signed_at:%Y-%m-%d}",
    }  # fmt: skip
