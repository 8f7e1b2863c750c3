"""When asking keeps failing, do not wait for the next failure."""

from __future__ import annotations

from typing import Any

from proxy_addon.verdicts.breaker import PROBE_SECONDS, Breaker, BreakerState


def opened(**settings: Any) -> Breaker:
    breaker = Breaker(failures=1, **settings)
    breaker.failed(10.0)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(failures=3)
    breaker.failed(0.0)
    breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert breaker.admits(0.0)
    breaker.failed(0.0)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.admits(0.1)


def test_half_open_it_admits_one_probe() -> None:
    breaker = opened(first=1.0)
    assert not breaker.admits(10.9)
    assert breaker.admits(11.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.admits(11.0 + PROBE_SECONDS - 0.1)


def test_the_back_off_doubles_with_each_probe_up_to_a_limit() -> None:
    breaker = opened(first=1.0, longest=3.0)
    waits = []
    now = 10.0
    for _ in range(4):
        begin = now
        while not breaker.admits(now):
            now += 0.5
        waits.append(now - begin)
        breaker.failed(now)
    assert waits == [1.0, 2.0, 3.0, 3.0]


def test_a_breaker_that_opens_again_starts_with_the_first_back_off() -> None:
    breaker = opened(first=1.0)
    assert breaker.admits(11.0)
    breaker.failed(11.0)
    assert breaker.admits(13.0)
    breaker.succeeded()
    assert breaker.admits(13.0)
    breaker.failed(20.0)
    assert breaker.admits(21.0)


def test_failures_of_questions_from_before_it_opened_put_nothing_off() -> None:
    breaker = opened(first=1.0)
    breaker.failed(10.9)
    assert breaker.admits(11.0)


def test_the_jitter_spreads_the_probes() -> None:
    assert opened(first=1.0, jitter=lambda: 0.0).admits(10.5)
    late = opened(first=1.0, jitter=lambda: 1.0)
    assert not late.admits(11.4)
    assert late.admits(11.5)


def test_a_probe_that_was_lost_does_not_keep_it_open_for_ever() -> None:
    breaker = opened(first=1.0)
    assert breaker.admits(11.0)
    assert breaker.admits(11.0 + PROBE_SECONDS)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admits(10.0)


def test_reconsidered_it_admits_a_probe_at_once_and_no_more() -> None:
    breaker = opened(first=4.0)
    breaker.reconsider(10.1)
    assert breaker.admits(10.1)
    assert not breaker.admits(10.2)
    breaker.failed(10.3)
    assert not breaker.admits(14.2)
    assert breaker.admits(14.3)


def test_a_breaker_that_is_closed_or_has_a_probe_out_is_not_reconsidered() -> None:
    closed = Breaker(failures=1)
    closed.reconsider(10.0)
    assert closed.state is BreakerState.CLOSED
    half_open = opened(first=1.0)
    assert half_open.admits(11.0)
    half_open.reconsider(11.1)
    assert not half_open.admits(11.2)
