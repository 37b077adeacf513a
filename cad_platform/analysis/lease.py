"""Keeping a job: a thread renews the lease while the worker computes, stops the work when it is lost, and has a slide
give way when something more urgent waits or the worker is to end."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from cad_platform.analysis import services, turns, worker
from cad_platform.analysis.slices import JobSlices
from cad_platform.core import proofs
from cad_platform.modelserver.port import Deadline

logger = logging.getLogger(__name__)

#: So often a slide's worker looks for what is more urgent.
_LOOK_SECONDS = 1.0


class LeaseRenewal:
    """Renews within the `with` block, three times in each lease.

    While the database is away it goes on asking until the lease has run out; then the work is abandoned,
    because the sweeper gives the job to somebody else.
    """

    def __init__(self, claim: services.Claim, deadline: Deadline, slices: JobSlices | None = None) -> None:
        self._claim = claim
        self._deadline = deadline
        self._slices = slices
        self._seconds = settings.JOB_LEASE_SECONDS
        third = self._seconds / 3
        self._pause = third if slices is None else min(_LOOK_SECONDS, third)
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
        usual, pause = self._seconds / 3, self._pause
        due = renewed_at + usual
        # A short job ends before the first renewal and needs no connection for it.
        while not self._done.wait(pause):
            try:
                if self._slices is not None:
                    self._look(self._slices)
                if time.monotonic() < due:
                    continue
                if not services.renew(self._claim):
                    self._deadline.abandon("the job went on without this attempt")
                    break
                renewed_at = time.monotonic()
                due, pause = renewed_at + usual, self._pause
                proofs.note_traffic(proofs.worker_of(self._claim.job.queue))
            except DatabaseError as error:
                logger.warning("lease not renewed: %s", type(error).__name__)
                connection.close()
                if time.monotonic() - renewed_at > self._seconds:
                    self._deadline.abandon("the lease ran out while the database was away")
                    break
                due, pause = 0.0, min(1.0, usual)
        connection.close()

    def _look(self, slices: JobSlices) -> None:
        if worker.is_stopping() or turns.must_give_way(self._claim.job, worker.queues_served()):
            slices.ask()
