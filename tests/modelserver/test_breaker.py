"""The circuit breaker, against a clock that the test turns."""

from __future__ import annotations

import pytest

from cad_platform.modelserver.breaker import Circuit, CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures=3, pause=2.0, longest_pause=5.0, clock=clock)


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        assert breaker.allows_call()
        breaker.failed()


def test_failures_in_a_row_open_it(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    assert breaker.state is Circuit.CLOSED
    fail(breaker, 1)
    assert breaker.state is Circuit.OPEN
    assert not breaker.allows_call()


def test_a_success_between_failures_keeps_it_closed(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    assert breaker.allows_call()
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.state is Circuit.CLOSED


def test_half_open_admits_one_caller_only(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 2.0
    assert breaker.state is Circuit.HALF_OPEN
    assert breaker.allows_call()
    assert not breaker.allows_call()


def test_the_one_success_closes_it(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 2.0
    assert breaker.allows_call()
    breaker.succeeded()
    assert breaker.state is Circuit.CLOSED


def test_the_one_failure_opens_it_for_twice_as_long_up_to_a_bound(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    for pause in (2.0, 4.0, 5.0, 5.0):
        clock.now += pause - 0.01
        assert not breaker.allows_call()
        clock.now += 0.01
        assert breaker.allows_call()
        breaker.failed()


def test_a_call_given_up_leaves_the_trial_to_the_next(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 2.0
    assert breaker.allows_call()
    breaker.released()
    assert breaker.state is Circuit.HALF_OPEN
    assert breaker.allows_call()
