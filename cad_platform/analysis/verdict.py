"""What a result amounts to: whether it is a verdict, of which images, and which of its marks are shown unasked. Nobody
else decides that: worklist, case page, report and API ask here.

A model says nothing of images unlike those that it has learnt from: no score, no colour, no rank, no mark. A result of
such images alone is none. The numbers stay in the result for the laboratory, with their flags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, QuerySet

from cad_platform.analysis.models import AnalysisJob, Finding
from inference.contract import Flag

_UNLIKE = Flag.OUT_OF_DISTRIBUTION.value


@dataclass(frozen=True)
class Verdict:
    """What a succeeded job may be said to have found.

    Attributes
    ----------
    is_given
        Whether there is one.
    score
        Calibrated probability of the model's positive class; none without a verdict.
    is_partial
        Whether some images of the study take no part in it.
    flags
        Other reasons to trust it less; none without a verdict.
    probabilities, breasts
        By class; by side and class. Empty without a verdict, and for a job read by `without_results`.
    unlike
        SOP Instance UIDs of the images of which nothing is said.
    """

    is_given: bool
    score: float | None = None
    is_partial: bool = False
    flags: tuple[str, ...] = ()
    probabilities: Mapping[str, float] = field(default_factory=dict)
    breasts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    unlike: frozenset[str] = frozenset()


def without_results(jobs: QuerySet[AnalysisJob]) -> QuerySet[AnalysisJob]:
    """Without their long results, but for what the worklist asks `verdict_of`."""
    return jobs.defer("result").annotate(
        said_flags=F("result__flags"), said_of=F("result__judged_images"), said_by=F("result__thresholds")
    )


def thresholds_of(job: AnalysisJob) -> Mapping[str, float]:
    """The operating points that a result was made with: the site may have had others than the version ships."""
    shipped: Mapping[str, float] = job.model_version.manifest.get("thresholds", {})
    if "result" in job.get_deferred_fields():
        return {**shipped, **(job.said_by or {})}  # type: ignore[attr-defined]
    return {**shipped, **((job.result or {}).get("thresholds") or {})}


def verdict_of(job: AnalysisJob) -> Verdict | None:
    """The verdict of a succeeded job; None of any other."""
    if job.state != AnalysisJob.State.SUCCEEDED:
        return None
    if "result" in job.get_deferred_fields():
        flags: Sequence[str] = job.said_flags or ()  # type: ignore[attr-defined]
        return _verdict({"flags": flags, "judged_images": job.said_of}, job.score)  # type: ignore[attr-defined]
    return _verdict(job.result or {}, job.score)


def score_of(result: Mapping[str, Any], positive_class: str) -> float | None:
    """What the worklist is ordered by and the report says of a result; none where it is no verdict."""
    return result["probabilities"].get(positive_class) if _is_given(result) else None


def unlike_images(result: Mapping[str, Any]) -> frozenset[str]:
    """SOP Instance UIDs of the images of which a result says nothing."""
    return frozenset(
        image["image_id"] for image in result.get("images", ()) if _UNLIKE in image.get("flags", ())
    )


def _is_given(result: Mapping[str, Any]) -> bool:
    judged = result.get("judged_images")
    # Results of versions up to 2.2.0 mixed all images: one unlike the others spoils them.
    return bool(judged) if judged is not None else _UNLIKE not in result.get("flags", ())


def _verdict(result: Mapping[str, Any], score: float | None) -> Verdict:
    flags = tuple(code for code in result.get("flags", ()) if code != _UNLIKE)
    unlike = unlike_images(result)
    if not _is_given(result):
        return Verdict(is_given=False, unlike=unlike)
    return Verdict(
        is_given=True,
        score=score,
        is_partial=_UNLIKE in result.get("flags", ()),
        flags=flags,
        probabilities=result.get("probabilities", {}),
        breasts=result.get("breasts", {}),
        unlike=unlike,
    )


# --- marks ----------------------------------------------------------------------------------------------


def least_score(manifest: Mapping[str, Any], false_marks_per_exam: float) -> float:
    """The score from which on a model's marks are shown unasked.

    Parameters
    ----------
    manifest
        `ModelManifest` as JSON. One without `mark_thresholds` has all its marks shown.
    false_marks_per_exam
        As many as the site expects and bears. Between two measured rates the stricter counts.
    """
    levels = {float(rate): level for rate, level in (manifest.get("mark_thresholds") or {}).items()}
    if not levels:
        return 0.0
    within = [rate for rate in levels if rate <= false_marks_per_exam]
    return float(levels[max(within) if within else min(levels)])


def mark_class(finding: Finding) -> str:
    """Of what a finding's score is the probability: a class of its model, or what it is called."""
    said = finding.job.model_version.manifest.get("mark_class") if finding.job else None
    return str(said or finding.label)


def is_of_unlike_image(finding: Finding, verdicts: Mapping[Any, Verdict | None]) -> bool:
    """Whether a model marked it in an image that it cannot judge. `verdicts` by the key of the job."""
    verdict = verdicts.get(finding.job_id)
    return verdict is not None and finding.instance.sop_instance_uid in verdict.unlike
