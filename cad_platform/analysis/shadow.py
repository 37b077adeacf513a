"""What versions that run in shadow say: asked for when an analysis of the study has ended, worked on while nobody waits
in the queue of its kind, and kept apart from everything that readers see (`ShadowResult`)."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from cad_platform.analysis import turns
from cad_platform.analysis.models import ShadowResult
from cad_platform.analysis.runner import ask
from cad_platform.analysis.suitability import none_to_read, why_not
from cad_platform.analysis.transitions import SHADOW_TOPIC
from cad_platform.analysis.verdict import score_of
from cad_platform.core import outbox
from cad_platform.core.errors import StorageFull, Unavailable
from cad_platform.core.queues import SHORT, SLIDE
from cad_platform.modelserver.port import Deadline
from cad_platform.registry.models import ModelRoute
from cad_platform.registry.routing import shadows
from cad_platform.registry.selectors import manifest_of
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.services import lock_study
from cad_platform.studies.sorting import SortedImage, scored
from inference.contract import AnalysisError, AnalysisResult, GaveWay, NotApplicable

logger = logging.getLogger(__name__)

State = ShadowResult.State
#: Why what was waiting when the version left the shadow was not looked at: the version has said nothing of it.
LEFT = "no longer in shadow for this study"
#: What fails so often is left: the report says how many.
MOST_ATTEMPTS = 5
#: After a failure, or when somebody came before it.
_PAUSE = timedelta(seconds=30)
#: One call works for so long; others follow.
_SECONDS = 20.0
_LOOK_SECONDS = 2.0


@transaction.atomic
def request(study_id: uuid.UUID | str) -> int:
    """Have the versions in shadow look at a complete study's present content; returns how many will. Safe to repeat."""
    study = lock_study(study_id)
    if study is None or study.state != Study.State.COMPLETE or study.withdrawn_at is not None:
        return 0
    wanted = [
        ShadowResult(study=study, content_hash=study.content_hash, model_version=version)
        for version in shadows(study)
    ]
    ShadowResult.objects.bulk_create(wanted, ignore_conflicts=True)
    if wanted:
        outbox.publish(SHADOW_TOPIC, queue=SLIDE if _reads_slides(study) else SHORT)
    return len(wanted)


def call_waiting() -> int:
    """Wake workers for what waits, by kind, where no job does; returns how many kinds. Called by the sweeper."""
    called = 0
    for queue in (SHORT, SLIDE):
        if _waiting(queue).exists() and not turns.due(queue).exists():
            with transaction.atomic():
                outbox.publish(SHADOW_TOPIC, queue=queue)
            called += 1
    return called


def work(queue: str) -> int:
    """Look at studies as long as no job waits in the queue, for up to 20 s; returns how many were ended."""
    until, done = time.monotonic() + _SECONDS, 0
    while time.monotonic() < until and not turns.due(queue).exists():
        claim = _claim(queue)
        if claim is None:
            break
        done += _attempt(claim, queue)
    return done


@dataclass(frozen=True)
class _Claim:
    row: ShadowResult
    attempt: int


def _waiting(queue: str) -> QuerySet[ShadowResult]:
    slides = Exists(Instance.objects.filter(series__study=OuterRef("study"), kind=Instance.Kind.SLIDE))
    found = ShadowResult.objects.filter(state=State.WAITING, available_at__lte=timezone.now())
    return found.filter(slides if queue == SLIDE else ~slides).order_by("available_at", "pk")


@transaction.atomic
def _claim(queue: str) -> _Claim | None:
    """Nobody else takes it before the analysis must have ended, one way or the other."""
    row = _waiting(queue).select_for_update(skip_locked=True, of=("self",)).first()
    if row is None:
        return None
    row.attempts += 1
    row.available_at = timezone.now() + timedelta(seconds=settings.JOB_DEADLINE_SECONDS) + _PAUSE
    row.save(update_fields=["attempts", "available_at"])
    return _Claim(row, row.attempts)


def _attempt(claim: _Claim, queue: str) -> bool:
    row = ShadowResult.objects.select_related("study", "model_version").get(pk=claim.row.pk)
    study, manifest = row.study, manifest_of(row.model_version)
    if not _still_wanted(row):
        return _end(claim, State.NOT_APPLICABLE, LEFT)
    images = sorted_images(study)
    read = scored(images, row.model_version.modality)
    if reason := _why_not(images, read, row):
        return _end(claim, State.NOT_APPLICABLE, reason)
    slices = _GivingWay(queue) if queue == SLIDE else None
    try:
        result = ask(
            f"shadow-{row.pk}:{claim.attempt}",
            manifest,
            read,
            _discard,
            Deadline(settings.JOB_DEADLINE_SECONDS),
            slices,
        )
    except GaveWay:
        return _later(claim, counts=False)
    except NotApplicable as error:
        return _end(claim, State.NOT_APPLICABLE, str(error))
    except (AnalysisError, Unavailable, StorageFull, MemoryError) as error:
        if claim.attempt >= MOST_ATTEMPTS:
            return _end(claim, State.FAILED, str(error) or type(error).__name__)
        return _later(claim)
    except Exception as error:
        logger.exception("shadow %s attempt %d failed", row.pk, claim.attempt)
        return _end(claim, State.FAILED, f"an unexpected error ({type(error).__name__})")
    return _end(claim, State.SUCCEEDED, "", result)


def _still_wanted(row: ShadowResult) -> bool:
    study = row.study
    here = study.withdrawn_at is None and study.content_hash == row.content_hash
    return here and ModelRoute.objects.filter(version=row.model_version, kind=ModelRoute.Kind.SHADOW).exists()


def _why_not(images: list[SortedImage], read: list[SortedImage], row: ShadowResult) -> str:
    if images and not read:
        return none_to_read(images)
    return why_not([image.instance for image in read], manifest_of(row.model_version).input)


@transaction.atomic
def _end(claim: _Claim, state: str, reason: str, result: AnalysisResult | None = None) -> bool:
    row = (
        ShadowResult.objects.select_for_update(of=("self",))
        .select_related("model_version")
        .get(pk=claim.row.pk)
    )
    if row.state != State.WAITING or row.attempts != claim.attempt:
        return False
    row.state, row.reason, row.finished_at = state, reason[:1000], timezone.now()
    if result is not None:
        row.result = _without_pictures(result)
        row.score = score_of(row.result, manifest_of(row.model_version).positive_class)
    row.save()
    return True


@transaction.atomic
def _later(claim: _Claim, *, counts: bool = True) -> bool:
    row = (
        ShadowResult.objects.select_for_update()
        .filter(pk=claim.row.pk, attempts=claim.attempt, state=State.WAITING)
        .first()
    )
    if row is not None:
        row.available_at = timezone.now() + _PAUSE
        row.attempts -= 0 if counts else 1
        row.save(update_fields=["available_at", "attempts"])
    return False


def _without_pictures(result: AnalysisResult) -> dict[str, object]:
    content = result.model_dump(mode="json")
    content["images"] = [image | {"mask": None, "heatmap": None} for image in content["images"]]
    return content


def _discard(name: str, png: bytes, /) -> str:
    """A version in shadow leaves no pictures."""
    return name


def _reads_slides(study: Study) -> bool:
    return Instance.objects.filter(series__study=study, kind=Instance.Kind.SLIDE).exists()


class _GivingWay:
    """A slide in shadow keeps nothing on its way, and gives way to any job of its queue."""

    def __init__(self, queue: str) -> None:
        self._queue, self._looked = queue, time.monotonic()

    def read(self) -> bytes:
        return b""

    def write(self, content: bytes) -> bool:
        return False

    def gives_way(self) -> bool:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return False
        self._looked = time.monotonic()
        return turns.due(self._queue).exists()
