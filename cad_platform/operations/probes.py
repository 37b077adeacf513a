"""Rounds of probes: housekeeping makes every component that the platform needs work each ten seconds (a message to
the broker, a task through the worker, a prediction by each model that analyses studies) and writes the outcome as
a proof; real jobs are proofs as well. What others can stand in for (a model server of several) is asked in the same
rounds, and makes the platform degraded where it fails. What stands by is asked once a minute, from a loop of its own:
it is shown to administrators, and neither reddens readiness nor delays it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.db import connection, transaction

from cad_platform.config.celery import app
from cad_platform.core import proofs
from cad_platform.core.declarations import Check, platform_apps
from cad_platform.core.models import ComponentProbe
from cad_platform.core.proofs import FRESH_FOR, WORKERS, ProbeFailed
from cad_platform.core.queues import ANSWER_TASK, QUEUES

logger = logging.getLogger(__name__)

PROBE_SECONDS = 10.0
FAILING_SECONDS = 2.0
#: While something fails that others stand in for, which may be for days.
DEGRADED_SECONDS = 5.0
STANDBY_SECONDS = 60.0
BROKER = "broker"

#: Writes what came of a check.
_Outcome = Callable[..., None]


def required_checks() -> dict[str, Check]:
    """Component → its check, of every component that readiness asks for, as the apps say at this moment."""
    return {name: check for config in platform_apps() for name, check in config.probes().items()}


def redundant_checks() -> dict[str, Check]:
    """The same of the components that others can stand in for."""
    return {name: check for config in platform_apps() for name, check in config.redundant_probes().items()}


def standby_checks() -> dict[str, Check]:
    """The same of the components that stand by."""
    return {name: check for config in platform_apps() for name, check in config.standby_probes().items()}


def probe_all() -> float:
    """Make every component that readiness asks for work once and record what came of it; forget components that
    no longer exist.

    Returns the seconds until the next round: fewer while something fails, so that its return is soon seen.
    """
    checks = {BROKER: prove_broker, **required_checks()}
    redundant = redundant_checks()
    _forget_all_but({*WORKERS, *checks}, beside={*standby_checks(), *redundant})
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="probe") as pool:
        required_outcomes = list(pool.map(_run_apart, checks.items()))
    # After the others: what these ask of is what the others have just shown.
    redundant_outcomes = [_run(entry) for entry in redundant.items()]
    pause = PROBE_SECONDS
    with transaction.atomic():  # one commit a round, in the same order in each process
        for works, record in required_outcomes:
            record(required=True)
            pause = pause if works else FAILING_SECONDS
        for works, record in redundant_outcomes:
            record(redundant=True)
            pause = pause if works else min(pause, DEGRADED_SECONDS)
    return pause


def probe_standby() -> None:
    """The same for the components that stand by, one after the other. How long it takes delays nobody."""
    for entry in standby_checks().items():
        _works, record = _run(entry)
        record()


def _run_apart(entry: tuple[str, Check]) -> tuple[bool, _Outcome]:
    """The same in a thread that ends with the round."""
    try:
        return _run(entry)
    finally:
        connection.close()


def _run(entry: tuple[str, Check]) -> tuple[bool, _Outcome]:
    """Whether the component works, and what records it."""
    component, check = entry
    begun = time.perf_counter()
    try:
        said = check()
    except Exception as error:
        logger.warning("probe of %s failed: %s", component, type(error).__name__)
        code = error.code if isinstance(error, ProbeFailed) else ""
        return False, partial(proofs.failed, component, str(error) or type(error).__name__, code)
    took = None if said is proofs.UNMEASURED else (time.perf_counter() - begun) * 1000
    return True, partial(proofs.succeeded, component, took)


def prove_broker() -> None:
    """Publish a message on every queue; the answer to it is the proof of that queue's workers
    (`operations.tasks.answer_probe`). Those that are busy with a slide prove themselves by that (`analysis.lease`)."""
    try:
        for queue in QUEUES:
            sent = {"sent_at": time.time(), "queue": queue}
            app.send_task(ANSWER_TASK, kwargs=sent, expires=FRESH_FOR.seconds, retry=False)
    except Exception as error:
        raise ProbeFailed(f"the broker takes no message ({type(error).__name__})") from error


def _forget_all_but(required: set[str], beside: set[str]) -> None:
    ComponentProbe.objects.exclude(component__in=required | beside).delete()
    ComponentProbe.objects.filter(component__in=beside, required=True).update(required=False)
