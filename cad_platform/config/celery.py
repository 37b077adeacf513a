"""The Celery application. Delivery is at least once: tasks are idempotent and acknowledge late."""

import os
from pathlib import Path
from typing import Any

import structlog
from celery import Celery, bootsteps
from celery.signals import task_prerun

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cad_platform.config.settings.local")

app = Celery("cad_platform")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
#: A message's header: which request it comes of.
REQUEST_ID = "cad_request_id"


@task_prerun.connect
def say_for_whom(task: Any, **_: Any) -> None:
    """Log lines, spans and rows of a task name the request that led to it."""
    structlog.contextvars.clear_contextvars()
    if request_id := task.request.get(REQUEST_ID):
        structlog.contextvars.bind_contextvars(request_id=request_id)


class SignOfLife(bootsteps.StartStopStep):
    """Touches `worker-QUEUE.alive` in the state folder every few seconds, from the loop that takes messages: an
    orchestrator's probe looks at its age, where a question through the broker would cost a process each time."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._again: Any = None

    def start(self, worker: Any) -> None:
        from django.conf import settings

        file = Path(settings.STATE_DIR) / f"worker-{worker.hostname.partition('@')[0]}.alive"
        file.touch()
        self._again = worker.timer.call_repeatedly(10.0, file.touch)

    def stop(self, worker: Any) -> None:
        if self._again is not None:
            self._again.cancel()


app.steps["worker"].add(SignOfLife)
