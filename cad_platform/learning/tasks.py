"""What messages make workers of the queue `training` do."""

from __future__ import annotations

from celery import shared_task

from cad_platform.core.queues import TRAIN_TASK
from cad_platform.learning import running

_A_WEEK = 7 * 24 * 3600


@shared_task(name=TRAIN_TASK, time_limit=_A_WEEK, soft_time_limit=_A_WEEK - 300)
def train(training_id: str) -> str:
    """The training that has waited longest. A message that comes twice finds it taken: the row says who is alive."""
    return running.run_next()
