"""A slide's analysis in slices: what there is of it is kept in the shared storage, and it gives way when asked."""

from __future__ import annotations

import logging
import threading

from django.db import Error as DatabaseError

from cad_platform.analysis import services
from cad_platform.core.errors import StorageFull, Unavailable
from cad_platform.studies import storage

logger = logging.getLogger(__name__)


class JobSlices:
    """The `Keeping` of one claim (`inference.runtime.resumable`). `ask` may be called from another thread."""

    def __init__(self, claim: services.Claim) -> None:
        self._claim = claim
        self._asked = threading.Event()

    def ask(self) -> None:
        """Have the analysis stop at its next opportunity."""
        self._asked.set()

    def read(self) -> bytes:
        """What an earlier attempt left. Empty where the storage does not have it: the slide is begun anew."""
        kept = self._claim.job.checkpoint_id
        if kept is None:
            return b""
        try:
            with storage.open(kept) as path:
                return path.read_bytes()
        except (Unavailable, OSError) as error:
            logger.warning("job %s begins anew: %s", self._claim.job.pk, type(error).__name__)
            return b""

    def write(self, content: bytes) -> bool:
        """Into the storage, and its name into the job, if it is still ours."""
        try:
            return services.keep_checkpoint(self._claim, content)
        except (Unavailable, StorageFull, DatabaseError) as error:
            logger.warning("job %s keeps nothing now: %s", self._claim.job.pk, type(error).__name__)
            return False

    def gives_way(self) -> bool:
        """Whether somebody asked."""
        return self._asked.is_set()
