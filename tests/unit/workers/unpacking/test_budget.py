"""Each limit ends the walk by its own name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.inspection_doubles import StillClock
from workers.unpacking.budget import Budget, BudgetSpentError, Limit, Limits

LIMITS = Limits(
    max_inflated_bytes=1000,
    max_ratio=10,
    ratio_floor=100,
    max_entries=2,
    max_images=2,
    max_image_bytes=50,
    max_pages=2,
    seconds=3.0,
)


def hit(size: int, *calls: Callable[[Budget], None]) -> Limit:
    budget = Budget(LIMITS, size, StillClock().monotonic)
    for call in calls[:-1]:
        call(budget)
    with pytest.raises(BudgetSpentError) as spent:
        calls[-1](budget)
    return spent.value.limit


def test_each_limit_has_its_name() -> None:
    assert hit(500, lambda b: b.spend_inflated(1000), lambda b: b.spend_inflated(1)) is Limit.INFLATED_BYTES
    assert hit(20, lambda b: b.spend_inflated(200), lambda b: b.spend_inflated(1)) is Limit.RATIO
    assert hit(1, *[Budget.spend_entry] * 3) is Limit.ENTRIES
    assert hit(1, *[Budget.spend_page] * 3) is Limit.PAGES
    assert hit(1, *[lambda b: b.spend_image(1)] * 3) is Limit.IMAGES
    assert hit(1, lambda b: b.spend_image(51)) is Limit.IMAGE_BYTES


def test_the_ratio_counts_past_a_floor() -> None:
    budget = Budget(LIMITS, 1, StillClock().monotonic)
    budget.spend_inflated(100)
    assert budget.inflated_left == 0


def test_time_runs_out() -> None:
    clock = StillClock()
    budget = Budget(LIMITS, 1, clock.monotonic)
    budget.tick()
    clock.now += 3.0
    with pytest.raises(BudgetSpentError) as spent:
        budget.spend_entry()
    assert spent.value.limit is Limit.SECONDS
