"""Keeping a job: a thread renews the lease while the worker computes, and stops the work when it is lost."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from cad_platform.analysis import services
from cad_platform.core import proofs
from cad_platform.modelserver.port import Deadline

logger = logging.getLogger(__name__)


class LeaseRenewal:
    """Renews within the `with` block, three times in each lease.

    While the database is away it goes on asking until the lease has run out; then the work is abandoned,
    because the sweeper gives the job to somebody else.
    """

    def __init__(self, claim: services.Claim, deadline: Deadline) -> None:
        self._claim = claim
        self._deadline = deadline
        self._seconds = settings.JOB_LEASE_SECONDS
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_done, name="lease", daemon=True)

    def __enter__(self) -> LeaseRenewal:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(timeout=10)

    def _renew_until_done(self) -> None:
        renewed_at = time.monotonic()
        pause = self._seconds / 3
        # A short job ends before the first renewal and needs no connection for it.
        while not self._done.wait(pause):
            try:
                if not services.renew(self._claim):
                    self._deadline.abandon("the job went on without this attempt")
                    break
                renewed_at = time.monotonic()
                pause = self._seconds / 3
                proofs.note_traffic(proofs.worker_of(self._claim.job.queue))
            except DatabaseError as error:
                logger.warning("lease not renewed: %s", type(error).__name__)
                connection.close()
                if time.monotonic() - renewed_at > self._seconds:
                    self._deadline.abandon("the lease ran out while the database was away")
                    break
                pause = min(1.0, self._seconds / 3)
        connection.close()
