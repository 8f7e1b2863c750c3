"""Commit positions: never past a request that is not done."""

from __future__ import annotations

from shared.adapters.kafka.offsets import OffsetTracker


def tracker_of(*offsets: int) -> OffsetTracker[str]:
    tracker: OffsetTracker[str] = OffsetTracker()
    for offset in offsets:
        tracker.delivered("p", offset)
    return tracker


def test_the_position_stops_before_the_oldest_request_that_is_not_done() -> None:
    tracker = tracker_of(5, 6, 7)
    tracker.done("p", 7)
    tracker.done("p", 6)
    assert tracker.positions() == {}
    tracker.done("p", 5)
    assert tracker.positions() == {"p": 8}


def test_offsets_that_kafka_left_out_do_not_hold_it() -> None:
    tracker = tracker_of(5, 9)
    tracker.done("p", 5)
    tracker.done("p", 9)
    assert tracker.positions() == {"p": 10}


def test_a_position_is_committed_once_and_kept_where_that_failed() -> None:
    tracker = tracker_of(1, 2)
    tracker.done("p", 1)
    positions = tracker.positions()
    tracker.done("p", 2)
    tracker.committed(positions)
    assert tracker.positions() == {"p": 3}
    tracker.committed({"p": 3})
    assert tracker.positions() == {}


def test_requests_of_partitions_that_were_lost_are_not_committed() -> None:
    tracker = tracker_of(1)
    tracker.forget()
    tracker.done("p", 1)
    tracker.done("elsewhere", 1)
    assert tracker.positions() == {}
    tracker.delivered("p", 1)
    tracker.done("p", 1)
    assert tracker.positions() == {"p": 2}
