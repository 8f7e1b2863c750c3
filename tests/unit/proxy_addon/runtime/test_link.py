"""The way to the store and the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy_addon.runtime.link import Link
from shared.adapters.lease import Lease
from shared.errors import BusTimeoutError, ConfigError, LeaseHeldError
from shared.types import BusMessage
from tests.memory_store import MemoryStore

KEY = "lease/proxy/3"


class StartingBus:
    """Starts or says why not."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.instance: int | None = None
        self.tried = asyncio.Event()

    async def start(self, instance: int) -> None:
        self.tried.set()
        if self.error is not None:
            raise self.error
        self.instance = instance

    async def ask(self, message: BusMessage) -> None:
        raise AssertionError("not asked here")

    async def replies(self) -> AsyncIterator[BusMessage]:
        nothing: tuple[BusMessage, ...] = ()
        for message in nothing:
            yield message

    def connected(self) -> bool:
        return self.instance is not None

    async def stop(self) -> None:
        return


class World:
    def __init__(self) -> None:
        self.store, self.bus = MemoryStore(), StartingBus()
        self.lease = Lease(self.store, KEY)
        self.link = Link(self.store, self.lease, self.bus, 3, retry=0.001)

    async def until_up(self) -> None:
        connecting = asyncio.get_running_loop().create_task(self.link.connect())
        async with asyncio.timeout(5):
            await self.link.connected()
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)


async def test_everything_is_there() -> None:
    w = World()
    assert not w.link.up()
    await w.until_up()
    assert w.link.up()
    assert w.bus.instance == 3
    assert KEY in w.store.keys
    await w.lease.release()


async def test_what_is_down_is_tried_again_and_does_not_hold_up_the_start() -> None:
    w = World()
    w.store.down = True
    connecting = asyncio.get_running_loop().create_task(w.link.connect())
    await w.link.first_try()
    assert not w.link.up()
    w.bus.error = BusTimeoutError("no broker")
    w.store.down = False
    await w.bus.tried.wait()
    assert not w.link.up()
    w.bus.error = None
    async with asyncio.timeout(5):
        await w.link.connected()
    assert w.link.up()
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    await w.lease.release()


async def test_a_missing_hub_is_no_matter_of_time() -> None:
    w = World()
    w.bus.error = ConfigError("start `safelight up`")
    with pytest.raises(ConfigError):
        await w.link.connect()
    await w.link.first_try()
    await w.lease.release()


async def test_a_lease_that_is_held_is_no_matter_of_time() -> None:
    w = World()
    holder = Lease(w.store, KEY)
    await holder.acquire()
    with pytest.raises(LeaseHeldError):
        await w.link.connect()
    assert w.bus.instance is None
    await holder.release()


async def test_a_lease_that_is_lost_ends_it() -> None:
    w = World()
    connecting = asyncio.get_running_loop().create_task(w.link.connect())
    await w.link.connected()
    w.lease.lost.set()
    with pytest.raises(LeaseHeldError, match="reply partition 3"):
        await connecting
    await w.lease.release()
