"""From the outbox to the broker, with a real Valkey that comes and goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from cad_platform.config.celery import app
from cad_platform.core import outbox
from cad_platform.core.models import OutboxEvent
from cad_platform.operations import relay

pytestmark = pytest.mark.django_db(transaction=True)
TOPIC, TASK = "test.happened", "test.task"


@pytest.fixture(autouse=True)
def subscribed() -> Iterator[None]:
    outbox.subscribe(TOPIC, TASK)
    yield
    outbox._subscriptions.pop(TOPIC)


@pytest.fixture
def queue(broker: str) -> Iterator[str]:
    """A queue of this test's own, so that no other message is taken for its own."""
    name = f"test-{time.monotonic_ns()}"
    before, app.conf.task_routes = app.conf.task_routes, {TASK: {"queue": name}}
    _forget_routes()
    yield name
    app.conf.task_routes = before
    _forget_routes()


def _forget_routes() -> None:
    """Celery keeps what it once read of its settings."""
    for kept in ("router", "queues"):
        app.amqp.__dict__.pop(kept, None)
    app.amqp._rtable = None


def publish(count: int = 1) -> None:
    with transaction.atomic():
        for number in range(count):
            outbox.publish(TOPIC, number=number)


def received(queue: str) -> list[int]:
    """The `number` of every message in the queue, in order."""
    numbers = []
    with app.connection_for_read() as link:
        simple = link.SimpleQueue(queue)
        while True:
            try:
                message = simple.get(block=False)
            except simple.Empty:
                return numbers
            message.ack()
            numbers.append(message.payload[1]["number"])


def test_events_reach_the_task_in_order_and_once(queue: str) -> None:
    publish(3)
    assert relay.relay_pending() == 3
    assert relay.relay_pending() == 0
    assert received(queue) == [0, 1, 2]


def test_what_was_rolled_back_is_never_announced(queue: str) -> None:
    with pytest.raises(RuntimeError, match="rolled back"), transaction.atomic():
        outbox.publish(TOPIC, number=1)
        raise RuntimeError("rolled back")
    assert relay.relay_pending() == 0


def test_more_than_one_batch_goes_out(queue: str) -> None:
    publish(relay.BATCH + 5)
    assert relay.relay_pending() == relay.BATCH + 5
    assert received(queue) == list(range(relay.BATCH + 5))


def test_a_broker_that_is_away_loses_nothing(queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(2)
    send = app.send_task
    refused = iter([False, True])

    def send_or_fail(*arguments: object, **options: object) -> object:
        if next(refused, False):
            raise ConnectionRefusedError("away")
        return send(*arguments, **options)

    monkeypatch.setattr(app, "send_task", send_or_fail)
    with pytest.raises(relay.BrokerAway):
        relay.relay_pending()
    assert OutboxEvent.objects.filter(published_at__isnull=False).count() == 1
    assert OutboxEvent.objects.get(published_at__isnull=True).attempts == 1
    assert relay.relay_pending() == 1
    assert received(queue) == [0, 1]


def test_two_relays_share_the_work_without_repeating_it(queue: str) -> None:
    publish(120)
    counts: list[int] = []

    def work() -> None:
        counts.append(relay.relay_pending())
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rest = relay.relay_pending()
    assert sum(counts) + rest == 120
    assert sorted(received(queue)) == list(range(120))


def test_a_commit_wakes_the_relay(queue: str) -> None:
    relay.wait_for_events(0.01)

    def later() -> None:
        time.sleep(0.2)
        publish()
        connection.close()

    thread = threading.Thread(target=later)
    thread.start()
    begun = time.monotonic()
    relay.wait_for_events(20)
    assert time.monotonic() - begun < 10
    thread.join()
    assert relay.relay_pending() == 1


def test_an_event_committed_before_the_wait_is_not_slept_over(queue: str) -> None:
    relay.wait_for_events(0.01)

    def now() -> None:
        publish()
        connection.close()

    thread = threading.Thread(target=now)
    thread.start()
    thread.join()
    begun = time.monotonic()
    relay.wait_for_events(20)
    assert time.monotonic() - begun < 10


def test_after_a_lost_connection_it_looks_once_before_it_waits(queue: str) -> None:
    """What was committed while nobody listened is told to nobody."""
    relay.wait_for_events(0.01)
    connection.close()
    begun = time.monotonic()
    relay.wait_for_events(60)
    assert time.monotonic() - begun < 30
    publish()
    relay.wait_for_events(60)
    assert time.monotonic() - begun < 30


def test_published_events_are_forgotten_after_a_while_and_waiting_ones_never(queue: str) -> None:
    publish(2)
    old = timezone.now() - relay.KEPT_FOR - timedelta(hours=1)
    first, second = OutboxEvent.objects.order_by("pk")
    OutboxEvent.objects.filter(pk=first.pk).update(published_at=old)
    OutboxEvent.objects.filter(pk=second.pk).update(created_at=old)
    assert relay.purge_published() == 1
    assert list(OutboxEvent.objects.all()) == [second]
