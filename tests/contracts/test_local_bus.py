"""The embedded bus: the contract, and what hostile or stuck clients must not be able to do."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.adapters.local.bus import LocalAnsweringBus, LocalAskingBus
from shared.adapters.local.frames import Hello, Want, encode_frame
from shared.adapters.local.hub import WORKER, Hub, hub_socket_path
from shared.adapters.local.queue import Limits
from shared.errors import BusError, ConfigError
from shared.ports import AnsweringBus, AskingBus
from tests.contracts.bus_contract import BusContract, World, next_reply, requests, until_true

HUB = """
import asyncio, sys
from pathlib import Path
from shared.adapters.local.hub import Hub

async def main():
    await Hub(Path(sys.argv[1])).start()
    print("up", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


class LocalWorld(World):
    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        super().__init__()
        self.path = path
        self.limits = limits
        self.hub = Hub(path, limits)

    def new_asking(self) -> AskingBus:
        return LocalAskingBus(self.path)

    def new_answering(self) -> AnsweringBus:
        return LocalAnsweringBus(self.path)

    def worker_code(self) -> str:
        return (
            "from pathlib import Path\nfrom shared.adapters.local.bus import LocalAnsweringBus\n"
            f"bus = LocalAnsweringBus(Path({str(self.path)!r}))"
        )

    async def down(self) -> None:
        await self.hub.stop()

    async def up(self) -> None:
        self.hub = Hub(self.path, self.limits)
        await self.hub.start()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return hub_socket_path(tmp_path)


@pytest.fixture
async def world(path: Path) -> AsyncIterator[LocalWorld]:
    world = LocalWorld(path)
    await world.up()
    yield world
    await world.exits.aclose()
    await world.down()


class TestLocalBus(BusContract):
    async def test_a_client_without_a_hub_is_told_what_to_start(self, path: Path) -> None:
        for start in (LocalAskingBus(path).start(0), LocalAnsweringBus(path).start()):
            with pytest.raises(ConfigError, match="safelight up"):
                await start

    async def test_a_second_hub_is_refused_and_a_killed_ones_socket_is_taken_over(self, path: Path) -> None:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", HUB, str(path), stdout=subprocess.PIPE)
        world = LocalWorld(path)
        try:
            assert child.stdout is not None
            assert await child.stdout.readline() == b"up\n"
            with pytest.raises(ConfigError, match="another"):
                await Hub(path).start()
            asker, worker = await world.asking(), await world.answering()
        finally:
            child.kill()
            await child.wait()
        await until_true(lambda: not asker.connected())
        with pytest.raises(BusError):
            await asker.ask(world.message())
        await world.up()
        await until_true(lambda: asker.connected() and worker.connected())
        asked = world.message()
        await asker.ask(asked)
        assert [delivery.message for delivery in await requests(worker, [asked])] == [asked]
        await world.exits.aclose()
        await world.down()

    async def test_the_socket_is_for_this_user_alone(self, world: LocalWorld) -> None:
        assert stat.S_IMODE(world.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(world.path.parent.stat().st_mode) == 0o700
        assert len(str(world.path)) < 108

    async def test_a_folder_that_others_can_enter_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "open").mkdir(mode=0o755)
        (tmp_path / "open").chmod(0o755)
        with pytest.raises(ConfigError, match="0700"):
            await Hub(tmp_path / "open" / "bus.sock").start()

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x00",
            b"\xff\xff\xff\xff",
            b"\x00\x00\x00\x05hello",
            b"\x00\x00\x00\x01\xc1",
            b"GET / HTTP/1.1\r\n\r\n",
            encode_frame(Want(1)),
            encode_frame(Hello(0)) + encode_frame(Want(1)),
            encode_frame(Hello(0)) + encode_frame(Hello(1)),
            encode_frame(Hello(WORKER)) + b"\x00\x10\x00\x01" + b"x" * 100,
        ],
    )
    async def test_a_bad_frame_closes_its_own_connection_only(self, world: LocalWorld, data: bytes) -> None:
        asker, worker = await world.asking(1), await world.answering()
        reader, writer = await asyncio.open_unix_connection(world.path)
        writer.write(data)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
        writer.transport.abort()
        message = world.message(instance=1)
        await worker.reply(message)
        assert await next_reply(asker) == message

    async def test_a_full_hub_refuses_and_says_so(self, path: Path) -> None:
        world = LocalWorld(path, Limits(messages=2))
        await world.up()
        asker, worker = await world.asking(), await world.answering()
        kept = [world.message(), world.message()]
        for message in kept:
            await asker.ask(message)
        with pytest.raises(BusError, match="full"):
            await asker.ask(world.message())
        await worker.commit(await requests(worker, kept))
        another = world.message()
        await asker.ask(another)
        assert [delivery.message for delivery in await requests(worker, [another])] == [another]
        await world.exits.aclose()
        await world.down()

    async def test_requests_no_worker_wants_are_dropped_when_they_are_old(self, path: Path) -> None:
        world = LocalWorld(path, Limits(retention=0.2))
        await world.up()
        asker = await world.asking()
        await asker.ask(world.message())
        await asyncio.sleep(0.3)
        worker = await world.answering()
        assert await worker.receive(1, 0.3) == ()
        await world.exits.aclose()
        await world.down()
