"""A role waits for a store that is away; it does not wait for a configuration to become right."""

import asyncio

import pytest

from shared.adapters.starting import started
from shared.errors import BusTimeoutError, ConfigError, SafelightError, StoreError


class Server:
    """Fails with these errors, one a call, then starts; the last call may set an event."""

    def __init__(self, *errors: SafelightError, stop: asyncio.Event | None = None) -> None:
        self.errors = list(errors)
        self.calls = 0
        self._stop = stop

    async def start(self) -> None:
        self.calls += 1
        if not self.errors:
            return
        error = self.errors.pop(0)
        if self._stop is not None and not self.errors:
            self._stop.set()
        raise error


async def test_it_tries_until_the_server_is_there() -> None:
    server = Server(StoreError("away"), BusTimeoutError("away"), StoreError("away"))
    assert await started("the store", server.start, asyncio.Event(), first=0.001)
    assert server.calls == 4


async def test_it_ends_where_the_role_is_stopped() -> None:
    stop = asyncio.Event()
    server = Server(StoreError("away"), StoreError("away"), stop=stop)
    assert not await started("the store", server.start, stop, first=0.001)
    assert server.calls == 2


async def test_a_role_that_is_stopped_already_does_not_start() -> None:
    stop = asyncio.Event()
    stop.set()
    server = Server()
    assert not await started("the store", server.start, stop)
    assert server.calls == 0


async def test_a_wrong_configuration_is_raised_at_once() -> None:
    server = Server(ConfigError("this Redis is 6.2"))
    with pytest.raises(ConfigError):
        await started("the store", server.start, asyncio.Event())
    assert server.calls == 1
