import pytest

from shared.telemetry import Metrics
from workers.decoding.pool import DecodePool
from workers.decoding.process import ChildLostError
from workers.decoding.shared_pools import DecodePools


class Pool(DecodePool):
    """Without children."""

    def __init__(self, side: int, *, comes_up: bool = True) -> None:
        super().__init__(size=1, side=side, timeout=1.0, max_pixels=1, metrics=Metrics())
        self.running = False
        self.comes_up = comes_up

    async def start(self) -> None:
        self.running = True
        if not self.comes_up:
            raise ChildLostError("no child")

    async def stop(self) -> None:
        self.running = False


async def test_pictures_of_one_size_share_a_pool_until_the_last_user_goes() -> None:
    pools = DecodePools(Pool)
    one, two, other = await pools.take(96), await pools.take(96), await pools.take(128)
    assert isinstance(one, Pool)
    assert (one is two, one is other) == (True, False)
    await pools.give_back(96)
    running = [one.running]
    await pools.give_back(96)
    assert [*running, one.running] == [True, False]
    again = await pools.take(96)
    assert again is not one
    assert isinstance(again, Pool)
    assert again.running


async def test_a_pool_that_does_not_come_up_is_stopped_and_not_kept() -> None:
    made: list[Pool] = []

    def make(side: int) -> Pool:
        made.append(Pool(side, comes_up=bool(made)))
        return made[-1]

    pools = DecodePools(make)
    with pytest.raises(ChildLostError):
        await pools.take(96)
    assert not made[0].running
    assert await pools.take(96) is made[1]
