"""How a finding is shown beside its image, as its newest decision leaves it; no HTTP, no queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from cad_platform.analysis.models import Finding
from cad_platform.analysis.verdict import mark_class
from cad_platform.reading import wording
from cad_platform.reading.case_state import decision_of, is_faint
from cad_platform.reading.models import FindingDecision

Verdict = FindingDecision.Verdict


@dataclass(frozen=True)
class DecisionView:
    id: str
    words: str
    reader: str
    at: datetime
    reason: str


@dataclass(frozen=True)
class FindingView:
    """A finding as the newest decision leaves it. `model_box` keeps what the model marked."""

    id: str
    number: int
    image_id: str
    image_name: str
    frame: int | None
    label: str
    label_words: str
    percent: int | None
    percent_of: str
    is_faint: bool
    source: str
    by_reader: bool
    verdict: str
    verdict_words: str
    box: list[float]
    model_box: list[float]
    polygon: list[list[float]] | None
    size: str
    descriptors: list[str]
    history: list[DecisionView]

    @property
    def frame_words(self) -> str:
        """Of a clip: the frame that it was seen on, counted from 1."""
        return "" if self.frame is None else _("frame %(frame)d") % {"frame": self.frame + 1}

    @property
    def decision_id(self) -> str:
        """Of the newest decision; empty where there is none."""
        return self.history[-1].id if self.history else ""

    @property
    def decided(self) -> bool:
        return self.verdict != Verdict.UNDECIDED


def finding_view(finding: Finding, image: str, *, is_earlier: bool) -> FindingView:
    """`image` is the name of the picture that it was found in; `is_earlier` where a result found it that no longer
    counts."""
    decisions: list[FindingDecision] = finding.seen_decisions  # type: ignore[attr-defined]
    last = decision_of(finding)
    verdict = last.verdict if last else Verdict.UNDECIDED
    edited = last if last and last.verdict == Verdict.EDITED else None
    box = (edited.box if edited else None) or finding.box
    label = (edited.label if edited else "") or finding.label
    return FindingView(
        id=str(finding.id),
        number=finding.number,
        image_id=str(finding.instance_id),
        image_name=image,
        frame=finding.frame,
        label=label,
        label_words=wording.class_words(label),
        percent=wording.percent_of(finding.score) if finding.score is not None else None,
        percent_of=wording.probability_of(mark_class(finding)),
        is_faint=is_faint(finding),
        source=_source(finding, is_earlier),
        by_reader=finding.author_id is not None,
        verdict=verdict,
        verdict_words=_verdict_words(finding, verdict),
        box=box,
        model_box=finding.box,
        polygon=None if edited and edited.box else finding.polygon,
        size=wording.box_size(box, finding.instance.spacing_in(box)),
        descriptors=[
            wording.descriptor(name, value)
            for name, value in (finding.descriptors or {}).items()
            if wording.is_shown(name)
        ]
        + wording.outline_words(finding.descriptors or {}),
        history=[
            DecisionView(
                str(item.pk),
                str(Verdict(item.verdict).label),
                item.reader.printed_name,
                item.decided_at,
                wording.reason_said(item.reason),
            )
            for item in decisions
        ],
    )


def _source(finding: Finding, is_earlier: bool) -> str:
    """Who marked it: the database allows a reader or a job, never both or neither."""
    if finding.author is not None:
        return finding.author.printed_name
    assert finding.job is not None
    version = finding.job.model_version
    return _("%(version)s, an earlier result") % {"version": version} if is_earlier else version.name


def _verdict_words(finding: Finding, verdict: str) -> str:
    if finding.author_id is not None and verdict == Verdict.UNDECIDED:
        return _("Added by a reader")
    return str(Verdict(verdict).label)
