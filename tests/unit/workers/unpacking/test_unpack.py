"""The one way in."""

from __future__ import annotations

import pytest

from shared.errors import ErrorCode
from tests.container_factories import PNG, make_zip
from tests.unit.workers.unpacking.walks import Outcome, codes, limits_hit, walk
from workers.unpacking.budget import Limit, Limits
from workers.unpacking.unpack import unpack, warm_up
from workers.unpacking.walk import Found, Unread


def test_it_can_be_warmed_up() -> None:
    warm_up()


@pytest.mark.parametrize("data", [b"", b"text", PNG, bytes(1000)])
def test_what_holds_nothing_gives_nothing(data: bytes) -> None:
    assert walk(data) == Outcome()


def test_time_runs_out_and_says_so() -> None:
    out = walk(make_zip({"a.png": PNG}), Limits(seconds=0.0))
    assert (codes(out), limits_hit(out)) == ([ErrorCode.OVER_BUDGET], [Limit.SECONDS])


def test_memory_that_runs_out_is_over_budget() -> None:
    taken: list[Found | Unread] = []

    def take(find: Found | Unread) -> None:
        taken.append(find)
        if len(taken) == 1:
            raise MemoryError

    unpack(make_zip({"a.png": PNG}), Limits(), take)
    assert [find.limit if isinstance(find, Unread) else find.path for find in taken] == ["a.png", Limit.MEMORY]
