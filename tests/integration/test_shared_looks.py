"""Who waits shares the looks of others; who gives up takes them from nobody."""

from __future__ import annotations

import asyncio

import pytest

from shared.adapters.sqlite.shared_looks import SharedLooks
from shared.errors import StoreError
from tests.virtual_time import run

PAUSE = 0.05


class Looking:
    """Tells when it was looked, in milliseconds; fails where it is told to."""

    def __init__(self) -> None:
        self.at: list[int] = []
        self.fails = False

    async def __call__(self) -> int:
        if self.fails:
            raise StoreError("the file is gone")
        self.at.append(round(1000 * asyncio.get_running_loop().time()))
        return self.at[-1]


def test_all_who_wait_share_a_look_and_nobody_waiting_means_none() -> None:
    looking = Looking()

    async def main() -> None:
        looks = SharedLooks(looking, PAUSE)
        await asyncio.sleep(1)
        early = asyncio.get_running_loop().create_task(looks.next())
        await asyncio.sleep(PAUSE / 2)
        assert await looks.next() == await early == 1050
        both = await asyncio.gather(looks.next(), looks.next())
        assert list(both) == [1100, 1100]

    run(main())
    assert looking.at == [1050, 1100]


def test_who_gives_up_ends_the_look_for_nobody_else() -> None:
    async def main() -> None:
        looks = SharedLooks(Looking(), PAUSE)
        gone, stays = (asyncio.get_running_loop().create_task(looks.next()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays == 50
        assert gone.cancelled()

    run(main())


def test_a_look_that_fails_is_told_to_all_and_followed_by_others() -> None:
    looking = Looking()
    looking.fails = True

    async def main() -> None:
        looks = SharedLooks(looking, PAUSE)
        outcomes = await asyncio.gather(looks.next(), looks.next(), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError]
        looking.fails = False
        assert await looks.next() == 100

    run(main())


def test_who_waits_is_told_when_it_stops() -> None:
    async def main() -> None:
        looks = SharedLooks(Looking(), PAUSE)
        await looks.stop()
        waiting = asyncio.get_running_loop().create_task(looks.next())
        await asyncio.sleep(0)
        await looks.stop()
        with pytest.raises(StoreError, match="closed"):
            await waiting
        await looks.stop()

    run(main())
