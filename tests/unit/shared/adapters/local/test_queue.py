"""The hub's queue: at least once, oldest first, bounded."""

from __future__ import annotations

from shared.adapters.local.queue import Limits, RequestQueue
from shared.types import BusMessage


def message(name: str, size: int = 10) -> BusMessage:
    return BusMessage(key=b"", value=b"x" * size, correlation_id=name, partition=0)


def queue_of(*names: str, limits: Limits | None = None) -> RequestQueue:
    queue = RequestQueue(limits or Limits())
    for name in names:
        assert queue.add(message(name), 0.0) == ""
    return queue


def names(taken: tuple[tuple[int, BusMessage], ...]) -> str:
    return "".join(message.correlation_id for _, message in taken)


def test_requests_are_handed_out_once_and_in_order() -> None:
    queue = queue_of(*"abc")
    assert names(queue.take(1, 2, 0.0)) == "ab"
    assert names(queue.take(2, 2, 0.0)) == "c"
    assert queue.take(2, 2, 0.0) == ()


def test_a_dead_workers_requests_go_back_to_the_front_in_order() -> None:
    queue = queue_of(*"abcd")
    queue.take(1, 1, 0.0)
    taken = queue.take(2, 2, 0.0)
    queue.commit(2, [taken[0][0]])
    queue.give_back(2)
    queue.give_back(1)
    assert names(queue.take(3, 9, 0.0)) == "acd"


def test_a_worker_commits_only_what_it_holds() -> None:
    queue = queue_of(*"ab")
    taken = queue.take(1, 2, 0.0)
    queue.commit(2, [number for number, _ in taken])
    queue.commit(1, [99])
    assert len(queue) == 2
    queue.commit(1, [number for number, _ in taken])
    queue.commit(1, [number for number, _ in taken])
    assert len(queue) == 0
    queue.give_back(1)
    assert queue.take(3, 9, 0.0) == ()


def test_the_limits_count_what_is_handed_out_too() -> None:
    queue = queue_of(*"ab", limits=Limits(messages=2))
    taken = queue.take(1, 1, 0.0)
    assert "full" in queue.add(message("c"), 0.0)
    queue.commit(1, [taken[0][0]])
    assert queue.add(message("c"), 0.0) == ""


def test_bytes_are_limited() -> None:
    queue = RequestQueue(Limits(bytes=100))
    assert queue.add(message("a", 60), 0.0) == ""
    assert "full" in queue.add(message("b", 60), 0.0)
    assert queue.add(message("c", 40), 0.0) == ""


def test_old_requests_are_forgotten_wherever_they_are() -> None:
    queue = queue_of(*"abc", limits=Limits(messages=4, retention=60.0))
    held = queue.take(1, 1, 0.0)
    queue.add(message("d"), 30.0)
    assert names(queue.take(2, 9, 60.0)) == "d"
    assert len(queue) == 1
    queue.commit(1, [held[0][0]])
    queue.give_back(1)
    assert queue.take(2, 9, 60.0) == ()
    assert queue.add(message("e"), 61.0) == ""
    assert names(queue.take(2, 9, 61.0)) == "e"
