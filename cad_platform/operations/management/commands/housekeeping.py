"""`manage.py housekeeping`: the relay, the sealer and the probes, until a signal."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.operations.housekeeping import Housekeeping


class Command(BaseCommand):
    help = "Publishes outbox events, seals the audit log and proves the components, until it is stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        housekeeping = Housekeeping()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: housekeeping.stop())
        ended = housekeeping.run()
        if ended:
            raise CommandError(f"{', '.join(ended)} ended by a fault; the log says which.")
