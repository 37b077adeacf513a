"""Known cases on their way through the whole platform every hour: stored, read, queued, analysed and kept like a
patient's, under a site of their own that nobody belongs to. What a version said of a case first is what it must say
again; another answer, or none, raises an alert.

The model servers' own known cases (`modelserver.known_case`) ask a network alone; these would also see another decoder,
another scale, a worker that takes nothing, a result that is not kept.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cad_platform import modalities
from cad_platform.accounts.models import KNOWN_CASES_SITE, Role, Site, User
from cad_platform.analysis.models import AnalysisJob
from cad_platform.core.actor import Actor
from cad_platform.quality.measures import Measured
from cad_platform.quality.models import AlertRule, KnownCaseAnswer, KnownCaseRun, Measure
from cad_platform.quality.watching import settle
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import route, routed_versions
from cad_platform.studies import services as studies
from cad_platform.studies.describing import PostedFile
from cad_platform.studies.post import ImagePart, PatientPart, StudyPost
from cad_platform.studies.received import mint_uid

_EVERY = timedelta(minutes=55)
#: A run that has no answer after so long has none.
LATE = timedelta(minutes=30)


@dataclass(frozen=True)
class KnownCase:
    """One case: `write` puts its files into a folder and says the µm per pixel where they do not."""

    name: str
    modality: str
    write: Callable[[Path], float | None]


def _ultrasound(folder: Path) -> float | None:
    from imaging.phantoms import ultrasound

    made = ultrasound.phantom(1, "malignant")
    ultrasound.write_png(made, folder / "breast.png")
    return made.um_per_px


def _mammography(folder: Path) -> float | None:
    from imaging.phantoms import mammography

    for made in mammography.exam(1, left="malignant", right="none"):
        mammography.write_dicom(made, folder / f"{made.laterality}-{made.view}.dcm", PatientID="KNOWN-CASE")
    return None


def _tissue(folder: Path) -> float | None:
    from imaging.phantoms import histology

    made = histology.photograph(1, "malignant")
    histology.write_image(made, folder / "field.png")
    return made.um_per_px


#: By the model that the platform brings for a modality: a name, and who writes the files.
_WRITERS: Mapping[str, tuple[str, Callable[[Path], float | None]]] = {
    "ultrasound": ("ultrasound-1", _ultrasound),
    "mammography": ("mammography-1", _mammography),
    "histopathology": ("tissue-1", _tissue),
}
#: By modality.
CASES: Mapping[str, KnownCase] = {
    each.code: KnownCase(name, each.code, write)
    for each in modalities.registered()
    if each.champion in _WRITERS
    for name, write in [_WRITERS[each.champion]]
}


def run(at: datetime | None = None) -> int:
    """Send every case of a modality that is analysed on its way, once an hour however often it is called; returns how
    many. What was sent before and has no answer is told."""
    at = at or timezone.now()
    _tell_late(at)
    sent = 0
    for modality in sorted(set(routed_versions().values_list("modality", flat=True)) & set(CASES)):
        sent += _send(CASES[modality], at)
    return sent


@transaction.atomic
def answered(job_id: str) -> bool:
    """Compare what came of a known case with what the version said of it first. False where the job is none of a known
    case, or was compared before."""
    job = AnalysisJob.objects.select_related("model_version").filter(pk=job_id).first()
    run_of = KnownCaseRun.objects.select_for_update().filter(study=job.study_id).first() if job else None
    if job is None or run_of is None or job.state not in AnalysisJob.ENDED or job.finished_at is None:
        return False
    if KnownCaseAnswer.objects.filter(pk=job.pk).exists():
        return False
    said = _said(job)
    first = (
        KnownCaseAnswer.objects.filter(
            model_version=job.model_version, run__case=run_of.case, state=AnalysisJob.State.SUCCEEDED
        )
        .order_by("answered_at")
        .first()
    )
    difference, change = _compared(job, said, first.said if first else None)
    KnownCaseAnswer.objects.create(
        job=job,
        run=run_of,
        model_version=job.model_version,
        answered_at=job.finished_at,
        state=job.state,
        said=said,
        difference=difference,
        change=change,
    )
    run_of.ended_at = job.finished_at
    run_of.save(update_fields=["ended_at"])
    _settle(job.model_version, difference, change, job.finished_at)
    return True


def _settle(version: ModelVersion, difference: float, change: str, at: datetime) -> None:
    rule = AlertRule.objects.filter(measure=Measure.KNOWN_CASE, is_on=True).first()
    if rule is not None:
        beyond = bool(change) or difference > rule.threshold
        settle(rule, None, version.pk, Measured(difference, beyond, {"change": change}), at)


def _send(case: KnownCase, at: datetime) -> bool:
    actor = _actor()
    with (
        tempfile.TemporaryDirectory(prefix="cad-known-", dir=settings.UPLOAD_DIR) as name,
        transaction.atomic(),
    ):
        # Two that are called at once: the second finds the first's run.
        Site.objects.select_for_update(no_key=True).get(code=KNOWN_CASES_SITE)
        if KnownCaseRun.objects.filter(case=case.name, posted_at__gt=at - _EVERY).exists():
            return False
        folder = Path(name)
        spacing = case.write(folder)
        files = [_posted(path) for path in sorted(folder.iterdir())]
        post = StudyPost(
            patient=PatientPart(id="KNOWN-CASE", name="Known^Case"),
            modality=case.modality,
            procedure="Known case",
            study_instance_uid=mint_uid(),
            images=tuple(ImagePart(file=file.name, pixel_spacing_um=spacing) for file in files)
            if spacing
            else (),
        )
        receipt = studies.receive(actor, post, files)
        KnownCaseRun.objects.create(study=receipt.study, case=case.name, modality=case.modality, posted_at=at)
    return True


def _actor() -> Actor:
    """Who posts them: a system of the site, which no one can sign in as."""
    site, _made = Site.objects.get_or_create(
        code=KNOWN_CASES_SITE, defaults={"name": "Known cases (no patients)"}
    )
    user = User.objects.filter(username=KNOWN_CASES_SITE).first()
    if user is None:
        user = User.objects.create_user(
            username=KNOWN_CASES_SITE, role=Role.INTEGRATOR, site=site, first_name="", last_name="Known cases"
        )
    return Actor.of_user(user)


def _posted(path: Path) -> PostedFile:
    content = path.read_bytes()
    return PostedFile(path.name, path, hashlib.sha256(content).hexdigest(), len(content))


def _said(job: AnalysisJob) -> dict[str, Any]:
    result = job.result or {}
    return {
        "probabilities": result.get("probabilities", {}),
        "flags": sorted(result.get("flags", ())),
        "marks": [
            [finding["label"], *(round(side) for side in finding["box"])]
            for image in result.get("images", ())
            for finding in image.get("findings", ())
        ],
    }


def _compared(job: AnalysisJob, said: dict[str, Any], first: dict[str, Any] | None) -> tuple[float, str]:
    """The largest difference of a probability, and in English what else is otherwise."""
    if job.state != AnalysisJob.State.SUCCEEDED:
        return 1.0, f"no result: {job.state}"
    if first is None:
        return 0.0, ""
    names = set(said["probabilities"]) | set(first["probabilities"])
    difference = max(
        (abs(said["probabilities"].get(name, 0.0) - first["probabilities"].get(name, 0.0)) for name in names),
        default=0.0,
    )
    changes = []
    if said["flags"] != first["flags"]:
        changes.append("flags")
    if len(said["marks"]) != len(first["marks"]):
        changes.append(f"{len(said['marks'])} marks instead of {len(first['marks'])}")
    return round(difference, 6), ", ".join(changes)


def _tell_late(at: datetime) -> None:
    """Versions that have said nothing of the latest run of their modality's case."""
    for version in routed_versions().defer("card", "metrics"):
        latest = KnownCaseRun.objects.filter(
            modality=version.modality, posted_at__lte=at - LATE, posted_at__gt=at - timedelta(days=1)
        ).first()
        asked_before = KnownCaseAnswer.objects.filter(model_version=version).exists()
        if latest is None or not (asked_before or latest.ended_at is None):
            continue
        if version not in route(latest.study):  # other patients' canary, or another site's default
            continue
        # By which version was a question of its time: another may have come into use since.
        if not latest.answers.filter(model_version__name=version.name).exists():
            _settle(version, 1.0, f"no answer within {LATE.total_seconds() / 60:g} minutes", at)
