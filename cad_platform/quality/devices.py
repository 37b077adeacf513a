"""Are a device's images like those that a model was made from? The laboratory's shift test
(`inference.evaluation.shift`), by device, over disjoint sets of images in the order in which they were analysed. Takes
seconds of a processor: for workers."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max
from django.utils import timezone

from cad_platform.analysis.models import AnalysisJob
from cad_platform.quality.models import AnalysisFact, DeviceTest
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.selectors import manifest_of
from inference.contract import AnalysisResult, ModelManifest

if TYPE_CHECKING:
    from inference.evaluation.shift import Seen

logger = logging.getLogger(__name__)

#: Images of a set.
SET = 100
#: Sets tested in one call, so that a call ends.
_AT_A_TIME = 20
_LATELY = timedelta(days=30)


def test_devices(at: datetime | None = None, most: int = _AT_A_TIME) -> int:
    """Test each device of which a set of images has come together since its last test; returns how many sets."""
    at = at or timezone.now()
    done = 0
    keys = (
        AnalysisFact.objects.filter(score__isnull=False, ended_at__gt=at - _LATELY, ended_at__lte=at)
        .exclude(device="")
        .order_by()
        .values("site_id", "model_version_id", "device")
        .annotate(cases=Count("pk"), last=Max("ended_at"))
    )
    for key in sorted(keys, key=lambda row: row["last"]):
        while done < most and _test(key["site_id"], key["model_version_id"], key["device"], at):
            done += 1
    return done


@transaction.atomic
def _test(site_id: int, version_id: int, device: str, at: datetime) -> bool:
    """Test the next set of a device; False where it is not together yet, or nothing can be said."""
    from inference.evaluation.shift import ShiftError, read_reference, shift_of

    # Two workers would test the same set.
    version = ModelVersion.objects.select_for_update(no_key=True).defer("card", "metrics").get(pk=version_id)
    last = DeviceTest.objects.filter(site=site_id, model_version=version_id, device=device).first()
    facts = AnalysisFact.objects.filter(
        site=site_id, model_version=version_id, device=device, score__isnull=False, ended_at__lte=at
    )
    if last is not None:
        facts = facts.filter(ended_at__gt=last.up_to)
    manifest = manifest_of(version)
    seen: list[Seen] = []
    up_to = None
    for fact in facts.order_by("ended_at", "pk").select_related("study").iterator(chunk_size=50):
        seen += _seen(fact, manifest)
        if len(seen) >= SET:
            up_to = fact.ended_at
            break
    if up_to is None:
        return False
    try:
        shift = shift_of(read_reference(Path(settings.MODEL_STORE) / version.name / version.version), seen)
    except (ShiftError, OSError) as error:
        logger.info("devices are not tested with %s: %s", version, error)
        return False
    DeviceTest.objects.create(
        site_id=site_id,
        model_version=version,
        device=device,
        up_to=up_to,
        images=shift.images,
        named=[one.name for one in shift.named],
        result=shift.as_json(),
    )
    return True


def _seen(fact: AnalysisFact, manifest: ModelManifest) -> list[Seen]:
    from inference.evaluation.shift import Seen, features_of

    result = AnalysisResult.model_validate(
        AnalysisJob.objects.values_list("result", flat=True).get(pk=fact.pk)
    )
    group = str(fact.study.patient_id or fact.study_id)
    found = (features_of(image, manifest) for image in result.images)
    return [Seen(group, "", features) for features in found if features]
