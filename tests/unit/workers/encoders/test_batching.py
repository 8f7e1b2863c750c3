"""Batches over a hand-held clock."""

from typing import Any

import pytest

from shared.types import Priority
from workers.encoders.batching import Due, MicroBatcher


def test_nothing_waits() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(sizes=(1, 2))
    assert batcher.deadline is None
    assert batcher.due(5.0) == Due()


def test_without_a_wait_an_item_is_due_at_once() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(sizes=(1, 2, 4))
    batcher.add("a", 1.0)
    assert batcher.deadline == 1.0
    assert batcher.due(1.0) == Due(batch=("a",))


def test_the_wait_begins_with_the_oldest_item() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(sizes=(1, 2, 4), wait=0.5)
    batcher.add("a", 1.0)
    batcher.add("b", 1.4)
    assert batcher.deadline == 1.5
    assert batcher.due(1.49) == Due()
    assert batcher.due(1.5) == Due(batch=("a", "b"))


def test_a_full_batch_waits_for_nothing_and_takes_the_oldest() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(sizes=(1, 2), wait=9.0)
    for item in "abc":
        batcher.add(item, 1.0)
    assert batcher.due(1.0) == Due(batch=("a", "b"))
    assert len(batcher) == 1
    assert batcher.due(1.0) == Due()


def test_an_urgent_item_ends_the_wait_in_time_to_be_computed() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(sizes=(1, 2, 4), wait=1.0, reserve=0.1)
    batcher.add("a", 1.0)
    batcher.add("urgent", 1.0, deadline=1.5)
    assert batcher.deadline == pytest.approx(1.3)
    assert batcher.due(1.35).batch == ("a", "urgent")


def test_late_items_are_refused_not_computed() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(sizes=(1, 2, 4))
    batcher.add("late", 1.0, deadline=2.0)
    batcher.add("fine", 1.0, deadline=3.0)
    assert batcher.due(2.0) == Due(batch=("fine",), late=("late",))


def test_what_would_be_late_when_it_is_computed_is_refused() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(sizes=(1, 2, 4))
    batcher.reserve = 0.2
    batcher.add("hopeless", 1.0, deadline=1.1)
    batcher.add("fine", 1.0, deadline=1.3)
    assert batcher.due(1.0) == Due(batch=("fine",), late=("hopeless",))


def test_the_largest_size_that_is_full_is_run() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(sizes=(1, 2, 4))
    for item in "abcdefg":
        batcher.add(item, 1.0)
    assert [batcher.due(1.0).batch for _ in range(3)] == [("a", "b", "c", "d"), ("e", "f"), ("g",)]


def test_uploads_go_first() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(sizes=(1, 2))
    batcher.add("scan", 1.0, priority=Priority.BACKGROUND)
    batcher.add("download", 1.0, priority=Priority.DOWNLOAD)
    batcher.add("upload", 1.0)
    assert batcher.due(1.0).batch == ("upload", "download")


@pytest.mark.parametrize(
    "wrong", [{"sizes": ()}, {"sizes": (2,)}, {"sizes": (1,), "wait": -1.0}, {"sizes": (1,), "reserve": -1.0}]
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="size"):
        MicroBatcher(**wrong)
