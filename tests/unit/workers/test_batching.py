"""Batches over a hand-held clock."""

import pytest

from workers.batching import Due, MicroBatcher


def test_nothing_waits() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(limit=2)
    assert batcher.deadline is None
    assert batcher.due(5.0) == Due()


def test_without_a_wait_an_item_is_due_at_once() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(limit=4)
    batcher.add("a", 1.0)
    assert batcher.deadline == 1.0
    assert batcher.due(1.0) == Due(batch=("a",))


def test_the_wait_begins_with_the_oldest_item() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(limit=4, wait=0.5)
    batcher.add("a", 1.0)
    batcher.add("b", 1.4)
    assert batcher.deadline == 1.5
    assert batcher.due(1.49) == Due()
    assert batcher.due(1.5) == Due(batch=("a", "b"))


def test_a_full_batch_waits_for_nothing_and_takes_the_oldest() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(limit=2, wait=9.0)
    for item in "abc":
        batcher.add(item, 1.0)
    assert batcher.due(1.0) == Due(batch=("a", "b"))
    assert len(batcher) == 1
    assert batcher.due(1.0) == Due()


def test_an_urgent_item_ends_the_wait_in_time_to_be_computed() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(limit=4, wait=1.0, reserve=0.1)
    batcher.add("a", 1.0)
    batcher.add("urgent", 1.0, deadline=1.5)
    assert batcher.deadline == pytest.approx(1.4)
    assert batcher.due(1.4).batch == ("a", "urgent")


def test_late_items_are_refused_not_computed() -> None:
    batcher: MicroBatcher[str] = MicroBatcher(limit=4)
    batcher.add("late", 1.0, deadline=2.0)
    batcher.add("fine", 1.0, deadline=3.0)
    assert batcher.due(2.0) == Due(batch=("fine",), late=("late",))


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 1, "wait": -1.0}, {"limit": 1, "reserve": -1.0}])
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="limit"):
        MicroBatcher(**wrong)  # type: ignore[arg-type]
