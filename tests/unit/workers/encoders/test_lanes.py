"""By priority, but nobody for ever."""

import pytest

from shared.types import Priority
from workers.encoders.lanes import HANDICAPS, LaneQueue


def drained(queue: LaneQueue[str]) -> str:
    return "".join(queue.pop() for _ in range(len(queue)))


def test_the_same_priority_goes_in_order() -> None:
    queue: LaneQueue[str] = LaneQueue()
    for name in "abc":
        queue.add(name, 1.0)
    assert queue.first() == "a"
    assert drained(queue) == "abc"


def test_uploads_go_before_downloads_and_both_before_scans() -> None:
    queue: LaneQueue[str] = LaneQueue()
    queue.add("s", 1.0, priority=Priority.BACKGROUND)
    queue.add("d", 1.1, priority=Priority.DOWNLOAD)
    queue.add("u", 1.2, priority=Priority.UPLOAD)
    assert drained(queue) == "uds"


@pytest.mark.parametrize("priority", [Priority.DOWNLOAD, Priority.BACKGROUND])
def test_who_has_waited_long_enough_goes_before_uploads_that_come_now(priority: Priority) -> None:
    queue: LaneQueue[str] = LaneQueue()
    queue.add("w", 1.0, priority=priority)
    queue.add("b", 1.0 + HANDICAPS[priority] - 0.01)
    queue.add("a", 1.0 + HANDICAPS[priority] + 0.01)
    assert drained(queue) == "bwa"


def test_what_is_late_is_taken_out() -> None:
    queue: LaneQueue[str] = LaneQueue()
    queue.add("l", 1.0, deadline=2.0)
    queue.add("s", 1.0, deadline=2.4)
    queue.add("f", 1.0, deadline=3.0)
    queue.add("n", 1.0)
    assert queue.most_urgent == 2.0
    assert queue.take_late(1.5) == ()
    assert queue.take_late(2.0, reserve=0.5) == ("l", "s")
    assert drained(queue) == "fn"


def test_who_leaves_is_forgotten() -> None:
    queue: LaneQueue[str] = LaneQueue()
    queue.add("a", 1.0)
    queue.add("b", 2.0)
    queue.discard("a")
    assert (queue.oldest, len(queue)) == (2.0, 1)
    queue.discard("b")
    assert (queue.oldest, queue.most_urgent) == (None, None)
