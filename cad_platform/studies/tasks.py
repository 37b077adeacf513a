"""What is done to studies without anybody waiting."""

from __future__ import annotations

import logging
from dataclasses import asdict

from celery import shared_task

from cad_platform.core.actor import Actor
from cad_platform.studies import collector, describing_again, pixels

logger = logging.getLogger(__name__)

#: Of the time between two slices: sweeps and probes, which come every few seconds, do not wait behind one.
_SLICE_SECONDS = 5.0


@shared_task(name="studies.collect_files")
def collect_files() -> dict[str, int]:
    """Remove files that no row names; safe to run at any time and twice at once."""
    collected = asdict(collector.collect())
    if any(collected.values()):
        logger.info("files collected", extra=collected)
    return collected


@shared_task(name="studies.describe_again")
def describe_again() -> int:
    """A slice of the images that an earlier version described; how many studies it was. After an update every image is
    read anew this way, beside the daily work."""
    studies = sum(1 for _ in describing_again.describe_again(Actor.system("describe_again"), _SLICE_SECONDS))
    if studies:
        logger.info("studies described again", extra={"studies": studies})
    return studies


@shared_task(name="studies.prepare_images")
def prepare_images(study_id: str, **_: str) -> None:
    """Have a new study's large images decoded, so that whoever opens it first does not wait. Each is a task
    of its own, so that analyses get their turn in between."""
    for image_id in pixels.large_images(study_id):
        prepare_image.delay(str(image_id))


@shared_task(name="studies.prepare_image")
def prepare_image(image_id: str) -> bool:
    """Decode one image into the cache of derived files."""
    return pixels.prepare(image_id)
