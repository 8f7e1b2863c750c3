"""When asking keeps failing, do not wait for the next failure."""

from __future__ import annotations

from proxy_addon.breaker import Breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(failures=3)
    breaker.failed(0.0)
    breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert not breaker.is_open()
    assert breaker.admits(0.0)
    breaker.failed(0.0)
    assert breaker.is_open()
    assert not breaker.admits(0.1)


def test_an_open_one_admits_one_probe_at_a_time() -> None:
    breaker = Breaker(failures=1, probe_after=1.0)
    breaker.failed(10.0)
    assert not breaker.admits(10.9)
    assert breaker.admits(11.0)
    assert not breaker.admits(11.0)
    breaker.failed(11.5)
    assert not breaker.admits(12.4)
    assert breaker.admits(12.5)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = Breaker(failures=1)
    breaker.failed(0.0)
    breaker.succeeded()
    assert breaker.admits(0.0)
