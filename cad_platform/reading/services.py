"""What readers do to findings, and the record of what they were shown. Each is one transaction with its audit event."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from cad_platform import modalities
from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.audit.selectors import latest_event
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid
from cad_platform.core.request_keys import done_before, one_of_its_key
from cad_platform.reading import selectors
from cad_platform.reading.case_state import lock_case, refuse_closed
from cad_platform.reading.models import FindingDecision
from cad_platform.reading.worklist import WorklistPage
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.typed_text import reason_of

Box = Sequence[float]
Verdict = FindingDecision.Verdict
_LONGEST_REASON = 500


@transaction.atomic
def show_worklist(actor: Actor, page: WorklistPage) -> None:
    """Record that the actor is shown this very page of the worklist. A search is patient data and not recorded."""
    record(
        actor,
        "study.list",
        object_type="worklist",
        rows=len(page.studies),
        studies=[str(study.pk) for study in page.studies],
        state=page.filters.state,
        modality=page.filters.modality,
        priority=page.filters.priority,
        searched=bool(page.filters.search),
    )


@transaction.atomic
def show_studies(actor: Actor, studies: Sequence[Study], searched_by: Sequence[str] = ()) -> None:
    """Record that a system is shown these studies, found by those fields of the patient; what was looked for in them is
    patient data and not recorded."""
    detail: dict[str, Any] = {"fields": list(searched_by)} if searched_by else {}
    record(
        actor,
        "study.search" if searched_by else "study.list",
        object_type="study",
        count=len(studies),
        studies=[str(study.pk) for study in studies],
        **detail,
    )


@transaction.atomic
def show_study(actor: Actor, study: Study, jobs: Mapping[str, str], findings: int) -> None:
    """Record that a system is shown a study with these results (states of jobs by their ids) and so many findings."""
    record(
        actor,
        "study.view",
        object_type="study",
        object_id=study.pk,
        site_id=study.site_id,
        jobs=dict(jobs),
        findings=findings,
    )


@transaction.atomic
def open_case(actor: Actor, uid: str) -> selectors.CaseRecord:
    """The case, with the fact that the actor opened it and which results were shown.

    Raises
    ------
    NotFound, NotPermitted
        There is no such study at the actor's site, or the actor reads none.
    """
    case = selectors.case(actor, uid)
    show_study(actor, case.study, _shown_jobs(case), len(case.findings))
    return case


@transaction.atomic
def show_results(actor: Actor, case: selectors.CaseRecord) -> None:
    """Record the results that arrived while the actor has the case open and that are shown now, once: nothing where the
    actor was shown the same ones before."""
    last = latest_event(actor, ("study.view", "study.results"), "study", case.study.pk)
    if last is None or _ended(last.detail.get("jobs", {})) != _ended(_shown_jobs(case)):
        record(
            actor,
            "study.results",
            object_type="study",
            object_id=case.study.pk,
            site_id=case.study.site_id,
            jobs=_shown_jobs(case),
            findings=len(case.findings),
        )


def _shown_jobs(case: selectors.CaseRecord) -> dict[str, str]:
    return {str(job.id): str(job.state) for job in case.jobs}


def _ended(jobs: Mapping[str, str]) -> dict[str, str]:
    return {key: state for key, state in jobs.items() if state not in AnalysisJob.OPEN}


@transaction.atomic
def decide(
    actor: Actor,
    finding: Finding,
    verdict: str,
    reason: str = "",
    box: Box | None = None,
    label: str = "",
    *,
    request_key: uuid.UUID | None = None,
    seen: str | None = None,
) -> FindingDecision:
    """Record what the reader makes of a finding; the newest decision counts and none is ever overwritten. Under the
    case's lock: no decision slips in while the report is being signed.

    Parameters
    ----------
    verdict
        One of `FindingDecision.Verdict`; undecided takes an earlier one back.
    reason
        Why; required for an edit and a rejection, at most 500 characters.
    box
        The reader's box of an edit, `(x0, y0, x1, y1)` in stored pixels; None keeps the model's.
    label
        The reader's label of an edit, one of the modality's or the finding's own; blank keeps it.
    request_key
        Names the request: the same one again gives the same decision, whatever has happened to the case meanwhile.
    seen
        The id of the newest decision that the reader saw, empty where there was none: what was decided while the server
        was out of reach does not cover a colleague's later word unseen. None does not ask.

    Raises
    ------
    NotPermitted
        The actor decides on no findings of this study.
    KeyReused
        The key names another request.
    Invalid
        A reason is missing or too long, nothing was changed by an edit, the label is unknown, or the box does not lie
        in the image.
    Conflict
        The report is signed and no addendum begun, or the study is withdrawn or quarantined; `decided_meanwhile`:
        somebody else has decided since.
    """
    require(actor, "finding.decide", finding.study)
    study = lock_case(finding.study_id)
    before = done_before(FindingDecision.objects, request_key, reader_id=actor.user.pk, finding_id=finding.pk)
    if before is not None:
        return before
    refuse_closed(study)
    _refuse_unseen(actor, finding, seen)
    reason = reason_of(reason, longest=_LONGEST_REASON)
    if verdict not in Verdict.values:
        raise Invalid(_("There is no such verdict."), errors=(FieldError(_("unknown"), field="verdict"),))
    if verdict in {Verdict.EDITED, Verdict.REJECTED} and not reason:
        raise Invalid(_("Please say why."), errors=(FieldError(_("a reason is required"), field="reason"),))
    if verdict == Verdict.EDITED:
        box = _box_in_image(box, finding.instance) if box is not None else None
        label = _known_label(label, study, also=finding.label) if label else ""
        if box is None and not label:
            raise Invalid(_("Nothing was changed: move the box or choose another label."))
    else:
        box, label = None, ""
    with one_of_its_key():
        decision = FindingDecision.objects.create(
            finding=finding,
            reader=actor.user,
            verdict=verdict,
            reason=reason,
            box=list(box) if box is not None else None,
            label=label,
            request_key=request_key,
        )
    record(
        actor,
        "finding.decide",
        object_type="finding",
        object_id=finding.id,
        site_id=study.site_id,
        study=str(study.id),
        number=finding.number,
        verdict=verdict,
        decision=str(decision.id),
    )
    return decision


@transaction.atomic
def add_finding(
    actor: Actor,
    study: Study,
    image: Instance,
    box: Box,
    label: str,
    frame: int | None = None,
    *,
    request_key: uuid.UUID | None = None,
) -> Finding:
    """Record a place that the reader marks and no model did.

    Parameters
    ----------
    box
        `(x0, y0, x1, y1)` in stored pixels of the image; cut to it.
    label
        One of the modality's labels.
    frame
        Of a clip, from 0: the mark belongs to this frame. None where it belongs to them all.
    request_key
        Names the request: the same one again gives the same finding, whatever has happened to the case meanwhile.

    Raises
    ------
    NotPermitted
        The actor marks no findings in this study.
    KeyReused
        The key names another request.
    Invalid
        The image is another study's, the label unknown, the frame not one of the image's, or the box outside the
        image or too small.
    Conflict
        The report is signed and no addendum begun, or the study is withdrawn or quarantined.
    """
    require(actor, "finding.decide", study)
    # The numbers of a study's findings are given one at a time.
    study = lock_case(study.pk)
    before = done_before(Finding.objects, request_key, author_id=actor.user.pk, study_id=study.pk)
    if before is not None:
        return before
    refuse_closed(study)
    if image.series.study_id != study.pk:
        raise Invalid(_("The image belongs to another study."))
    if frame is not None and not 0 <= frame < image.frames:
        raise Invalid(_("The image has no such frame."))
    highest = Finding.objects.filter(study=study).aggregate(highest=Max("number"))["highest"] or 0
    label, place = _known_label(label, study), list(_box_in_image(box, image))
    with one_of_its_key():
        finding = Finding.objects.create(
            study=study,
            instance=image,
            author=actor.user,
            frame=frame if image.frames > 1 else None,
            number=highest + 1,
            label=label,
            box=place,
            request_key=request_key,
        )
    record(
        actor,
        "finding.add",
        object_type="finding",
        object_id=finding.id,
        site_id=study.site_id,
        study=str(study.id),
        number=finding.number,
        label=finding.label,
    )
    return finding


def _refuse_unseen(actor: Actor, finding: Finding, seen: str | None) -> None:
    newest = finding.decisions.select_related("reader").order_by("decided_at", "id").last()
    if seen is None or newest is None or newest.reader_id == actor.user.pk or str(newest.pk) == seen:
        return
    raise Conflict(
        _("%(reader)s decided on this finding meanwhile: %(verdict)s.")
        % {"reader": newest.reader.printed_name, "verdict": newest.get_verdict_display()},
        code="decided_meanwhile",
    )


def _known_label(label: str, study: Study, also: str = "") -> str:
    if not label or label not in (*modalities.get(study.modality).labels, also):
        raise Invalid(_("Please choose a label."), errors=(FieldError(_("unknown label"), field="label"),))
    return label


def _box_in_image(box: Box, image: Instance) -> tuple[float, float, float, float]:
    """The box cut to the image, at least two pixels wide and high."""
    if len(box) != 4 or any(value != value or abs(value) == float("inf") for value in box):
        raise Invalid(_("The box needs four numbers."), errors=(FieldError(_("not a box"), field="box"),))
    x0, x1 = (min(max(float(value), 0.0), float(image.columns)) for value in sorted((box[0], box[2])))
    y0, y1 = (min(max(float(value), 0.0), float(image.rows)) for value in sorted((box[1], box[3])))
    if x1 - x0 < 2 or y1 - y0 < 2:
        raise Invalid(
            _("The box lies outside the image or is too small."),
            errors=(FieldError(_("not inside the image"), field="box"),),
        )
    return round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1)
