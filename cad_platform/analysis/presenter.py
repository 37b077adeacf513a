"""What the page of jobs says of the queues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from cad_platform.analysis.backlog import Line
from cad_platform.analysis.models import AnalysisJob
from cad_platform.studies.models import Study


@dataclass(frozen=True)
class QueueLine:
    """The jobs of one priority in one queue, in words."""

    queue_words: str
    priority_words: str
    waiting: int
    running: int
    wait_words: str
    is_late: bool


def queue_lines(lines: Iterable[Line]) -> list[QueueLine]:
    """Those where something waits or runs."""
    return [
        QueueLine(
            queue_words=str(AnalysisJob.Queue(line.queue).label),
            priority_words=str(Study.Priority(line.priority).label),
            waiting=line.waiting,
            running=line.running,
            wait_words=_wait_words(line.oldest_s),
            is_late=line.oldest_s > settings.QUEUE_ALERT_SECONDS.get(line.priority, float("inf")),
        )
        for line in lines
        if line.waiting or line.running
    ]


def _wait_words(seconds: float) -> str:
    if seconds < 120:
        return _("%(count)d s") % {"count": seconds}
    if seconds < 7200:
        return _("%(count)d min") % {"count": seconds / 60}
    return _("%(count)d h") % {"count": seconds / 3600}
