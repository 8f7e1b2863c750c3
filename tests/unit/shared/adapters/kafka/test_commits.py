"""Commits are few, never lost, and their errors are told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from shared.adapters.kafka.commits import Committer
from shared.adapters.kafka.offsets import OffsetTracker
from shared.errors import BusError


class Broker:
    """Takes commits, or refuses them."""

    def __init__(self) -> None:
        self.commits: list[dict[int, int]] = []
        self.up = True
        self.took = asyncio.Event()

    async def take(self, positions: Mapping[int, int]) -> None:
        self.took.set()
        if not self.up:
            raise BusError("no coordinator")
        self.commits.append(dict(positions))


def scene() -> tuple[OffsetTracker[int], Broker, Committer]:
    offsets: OffsetTracker[int] = OffsetTracker()
    broker = Broker()
    return offsets, broker, Committer(offsets, broker.take, seconds=0.01)


def finish(offsets: OffsetTracker[int], committer: Committer, *done: int) -> None:
    for offset in done:
        offsets.delivered(0, offset)
        offsets.done(0, offset)
        committer.wake()


async def test_what_is_done_at_once_is_one_commit() -> None:
    offsets, broker, committer = scene()
    finish(offsets, committer, *range(100))
    await broker.took.wait()
    await committer.stop()
    assert broker.commits == [{0: 100}]


async def test_stopping_commits_what_is_left() -> None:
    offsets, broker, committer = scene()
    finish(offsets, committer, 1, 2)
    await committer.stop()
    await committer.stop()
    assert broker.commits == [{0: 3}]


async def test_nothing_done_is_nothing_to_commit() -> None:
    _, broker, committer = scene()
    await committer.flush()
    await committer.stop()
    assert broker.commits == []


async def test_a_commit_that_fails_is_told_once_and_made_up_for_by_the_next() -> None:
    offsets, broker, committer = scene()
    broker.up = False
    finish(offsets, committer, 1)
    await committer.flush()
    broker.up = True
    with pytest.raises(BusError, match="no coordinator"):
        finish(offsets, committer, 2)
    finish(offsets, committer, 3)
    await committer.stop()
    assert broker.commits == [{0: 4}]
