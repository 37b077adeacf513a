"""What a worker does at the news of a study, up to the claim."""

from __future__ import annotations

import uuid

from cad_platform.analysis import services
from cad_platform.core.queues import SHORT


def begin(study_id: uuid.UUID | str, worker: str = "worker", queue: str = SHORT) -> services.Claim | None:
    """Make the study's jobs and claim the next of a queue."""
    services.request_analyses(study_id)
    return services.claim_next(queue, worker)
