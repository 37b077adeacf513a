"""The queues on a real broker: who gets what, and in which order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from celery import Celery

from cad_platform.config.celery import app
from cad_platform.core.queues import CALL_TASK, MAINTENANCE, NEWS_TASK, QUEUES, SHORT, SLIDE
from embedded.state import REPOSITORY


@pytest.fixture
def empty_queues(broker: str) -> Iterator[Celery]:
    app.control.purge()
    yield app
    app.control.purge()


def received(queues: list[str], count: int) -> list[str]:
    """Names of the tasks that a worker of these queues is handed, in turn."""
    names: list[str] = []
    with app.connection_for_read() as connection, connection.channel() as channel:
        channel.basic_qos(0, 1, False)

        def take(_: object, message: object) -> None:
            names.append(message.headers["task"])  # type: ignore[attr-defined]
            message.ack()  # type: ignore[attr-defined]

        wanted = [app.amqp.queues[name] for name in queues]
        with app.amqp.TaskConsumer(channel, queues=wanted, on_message=None) as consumer:
            consumer.callbacks = []
            consumer.on_message = lambda message: take(None, message)
            deadline = time.monotonic() + 10
            while len(names) < count and time.monotonic() < deadline:
                try:
                    connection.drain_events(timeout=1)
                except TimeoutError:
                    break
    return names


def test_news_of_a_study_precede_the_calls_for_a_hundred_others(empty_queues: Celery) -> None:
    for _ in range(100):
        app.send_task(CALL_TASK, kwargs={"queue": SHORT})
    app.send_task(NEWS_TASK, kwargs={"study_id": "x"})
    assert received([SHORT], 1) == [NEWS_TASK]


def test_each_queue_holds_its_own(empty_queues: Celery) -> None:
    app.send_task(CALL_TASK, kwargs={"queue": SLIDE})
    app.send_task("analysis.sweep")
    app.send_task(CALL_TASK, kwargs={"queue": SHORT})
    assert received([MAINTENANCE], 3) == ["analysis.sweep"]
    assert received([SLIDE], 3) == [CALL_TASK]
    assert received([SHORT], 3) == [CALL_TASK]


@pytest.mark.long
@pytest.mark.parametrize(("arguments", "expected"), [(["-Q", SLIDE], {SLIDE}), ([], set(QUEUES))])
def test_a_worker_serves_the_queues_that_it_is_told(
    broker: str, arguments: list[str], expected: set[str]
) -> None:
    name = f"tried-{len(arguments)}@here"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "cad_platform.config", "worker", "-n", name, *arguments),
            *("--concurrency", "1", "--without-gossip", "--without-mingle", "--loglevel", "WARNING"),
        ],
        cwd=REPOSITORY,
        env=os.environ | {"C_FORCE_ROOT": "1"},
    )
    try:
        deadline, said = time.monotonic() + 60, None
        while said is None and time.monotonic() < deadline and process.poll() is None:
            said = app.control.inspect([name], timeout=1).active_queues()
        assert said is not None, "it did not start"
        assert {queue["name"] for queue in said[name]} == expected
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
