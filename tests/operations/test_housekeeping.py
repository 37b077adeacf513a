"""The always-on loops: through outages they go on, a fault ends the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from django.db import OperationalError

from cad_platform.core.declarations import Loop
from cad_platform.operations import housekeeping
from cad_platform.operations.housekeeping import Housekeeping
from cad_platform.operations.relay import BrokerAway

pytestmark = pytest.mark.django_db(transaction=True)


def run(keeper: Housekeeping) -> tuple[threading.Thread, list[list[str]]]:
    ended: list[list[str]] = []
    thread = threading.Thread(target=lambda: ended.append(keeper.run()))
    thread.start()
    return thread, ended


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("error", [OperationalError("gone"), BrokerAway("gone")])
def test_an_outage_is_outlived(error: Exception) -> None:
    calls: list[int] = []

    def step() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise error

    keeper = Housekeeping({"loop": Loop("loop", step, every=0.01)})
    thread, ended = run(keeper)
    until(lambda: len(calls) >= 3)
    keeper.stop()
    thread.join(10)
    assert ended == [[]]


def test_a_fault_in_one_loop_ends_them_all() -> None:
    def faulty() -> None:
        raise ZeroDivisionError

    sound = Loop("sound", lambda: None, every=0.01)
    keeper = Housekeeping({"faulty": Loop("faulty", faulty), "sound": sound})
    thread, ended = run(keeper)
    thread.join(20)
    assert ended == [["faulty"]]


def test_the_relay_the_sealer_and_the_probes_are_kept() -> None:
    assert set(housekeeping.registered_loops()) >= {"outbox relay", "audit sealer", "probes"}
