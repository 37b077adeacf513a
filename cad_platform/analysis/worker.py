"""A Celery worker made ready before its first job, so that nobody waits for imports and connections."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
from typing import Any

from celery import current_app
from celery.signals import worker_init, worker_process_init, worker_process_shutdown, worker_shutting_down
from django.db import connection

from cad_platform.core import tracing
from cad_platform.core.queues import MAINTENANCE, SHORT

_PR_SET_PDEATHSIG = 1


def queues_served() -> tuple[str, ...]:
    """The queues that this process takes messages of: those of its `-Q`, else all."""
    return tuple(current_app.amqp.queues.consume_from)


#: One byte that a worker and its children share.
_stopping = mmap.mmap(-1, 1)


def is_stopping() -> bool:
    """Whether the worker of this process was asked to end: a slide gives way, and another worker goes on with it."""
    return _stopping[0] == 1


@worker_shutting_down.connect
def note_stopping(**_: Any) -> None:
    """In the parent, from its signal handler: no lock may be waited for."""
    _stopping[0] = 1


@worker_init.connect
def load_pipelines(**_: Any) -> None:
    """In the parent, before it forks: its children share the imported libraries' memory. Maintenance reads no study."""
    if queues_served() == (MAINTENANCE,):
        return
    import inference.runtime.analyse  # noqa: F401
    from inference.runtime import pipelines

    pipelines.load_pipelines()


@worker_process_init.connect
def warm_up(**_: Any) -> None:
    """In each child: decoders forked, model server's client made, database connected."""
    from cad_platform.modelserver.configured import get_model_server
    from imaging import sandbox

    # A child that outlived a killed parent would go on with a job that somebody else takes over.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os._exit(1)
    tracing.start("worker")
    # Half a second of a slide's minute is not worth 66 MB in each process that waits for one.
    if SHORT in queues_served():
        sandbox.start()
        get_model_server()
    connection.close()


@worker_process_shutdown.connect
def cool_down(**_: Any) -> None:
    """End the decoders with their worker."""
    from imaging import sandbox

    tracing.stop()
    sandbox.SHARED.close()
