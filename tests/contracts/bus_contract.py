"""What every bus does: inherit, and supply the fixture ``world``.

Buses of one test module may share a broker, so a test looks for its own correlation ids and commits the rest.
"""

from __future__ import annotations

import abc
import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from shared.errors import BusError, ConfigError
from shared.ports import AnsweringBus, AskingBus
from shared.types import BusMessage, Delivery

ARRIVES_WITHIN = 60.0  # a rebalance takes seconds, a busy machine more
BOUND = 15.0  # no call may take longer, whatever has died
CRASHER = """
import asyncio, sys
{setup}
async def main():
    await bus.start()
    while True:
        for delivery in await bus.receive(10, 1.0):
            print(delivery.message.correlation_id, flush=True)

asyncio.run(main())
"""


class World(abc.ABC):
    """One bus and its clients; ``exits`` closes what a test has opened."""

    first_instance = 0

    def __init__(self) -> None:
        self.exits = AsyncExitStack()

    @abc.abstractmethod
    def new_asking(self) -> AskingBus: ...

    @abc.abstractmethod
    def new_answering(self) -> AnsweringBus: ...

    @abc.abstractmethod
    def worker_code(self) -> str:
        """Return the code that makes ``bus``, an answering bus, in another process."""

    @abc.abstractmethod
    async def down(self) -> None:
        """Kill the bus's server."""

    @abc.abstractmethod
    async def up(self) -> None:
        """Start it again."""

    async def asking(self, instance: int = 0) -> AskingBus:
        bus = self.new_asking()
        self.exits.push_async_callback(bus.stop)
        await bus.start(self.first_instance + instance)
        return bus

    async def answering(self) -> AnsweringBus:
        bus = self.new_answering()
        self.exits.push_async_callback(bus.stop)
        await bus.start()
        return bus

    def message(self, value: bytes = b"sealed", *, instance: int = 0, key: bytes = b"") -> BusMessage:
        """Return a message of this test, to be answered to ``instance``."""
        correlation_id = uuid.uuid4().hex
        return BusMessage(
            key=key or correlation_id.encode(),
            value=value,
            correlation_id=correlation_id,
            partition=self.first_instance + instance,
        )


async def next_reply(bus: AskingBus, within: float = ARRIVES_WITHIN) -> BusMessage:
    async with asyncio.timeout(within):
        async for message in bus.replies():
            return message
    raise AssertionError("the replies ended")


async def requests(bus: AnsweringBus, wanted: list[BusMessage], *, within: float = ARRIVES_WITHIN) -> list[Delivery]:
    """Return the deliveries of ``wanted``, in order of arrival; other tests' leftovers are committed."""
    missing = {message.correlation_id for message in wanted}
    found: list[Delivery] = []
    async with asyncio.timeout(within):
        while missing:
            deliveries = await bus.receive(16, 1.0)
            mine = [delivery for delivery in deliveries if delivery.message.correlation_id in missing]
            await bus.commit([delivery for delivery in deliveries if delivery not in mine])
            missing -= {delivery.message.correlation_id for delivery in mine}
            found += mine
    return found


async def answer_for_ever(bus: AnsweringBus) -> None:
    while True:
        try:
            deliveries = await bus.receive(16, 0.5)
            for delivery in deliveries:
                await bus.reply(delivery.message)
            await bus.commit(deliveries)
        except BusError:
            await asyncio.sleep(0.05)


async def until_true(condition: Callable[[], bool], within: float = ARRIVES_WITHIN) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what is asked has no event
            await asyncio.sleep(0.05)


async def killed_with_a_request(world: World) -> BusMessage:
    """Have a worker take a request and be killed before it answers; return the request."""
    asker = await world.asking()
    code = CRASHER.format(setup=world.worker_code())
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    try:
        asked = world.message()
        await asker.ask(asked)
        assert child.stdout is not None
        async with asyncio.timeout(ARRIVES_WITHIN):
            while (await child.stdout.readline()).decode().strip() != asked.correlation_id:
                pass
    finally:
        child.kill()
        await child.wait()
    return asked


class BusContract:
    """Each test has clients of its own."""

    async def test_a_request_comes_through_byte_for_byte_and_its_reply_too(self, world: World) -> None:
        asker, worker = await world.asking(), await world.answering()
        asked = world.message(bytes(range(256)) * 3, key=b"\x00key")
        await asker.ask(asked)
        (delivery,) = await requests(worker, [asked])
        assert delivery.message == asked
        answer = BusMessage(key=b"k", value=b"\xff\x00", correlation_id="other", partition=asked.partition)
        await worker.reply(answer)
        await worker.commit([delivery])
        assert await next_reply(asker) == answer

    async def test_a_reply_reaches_its_asker_and_only_it(self, world: World) -> None:
        first, second, worker = await world.asking(0), await world.asking(1), await world.answering()
        to_first, to_second = world.message(b"1", instance=0), world.message(b"2", instance=1)
        for message in (to_second, to_first):
            await worker.reply(message)
        assert await next_reply(first) == to_first
        assert await next_reply(second) == to_second

    async def test_two_hundred_requests_and_two_workers_lose_nothing(self, world: World) -> None:
        asker = await world.asking()
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(answer_for_ever(await world.answering())) for _ in range(2)]
            asked = [world.message(b"x" * 20_000) for _ in range(200)]
            missing = {message.correlation_id for message in asked}
            replying = group.create_task(_collect(asker, missing))
            for start in range(0, len(asked), 20):
                await asyncio.gather(*(asker.ask(message) for message in asked[start : start + 20]))
            await replying
            for worker in workers:
                worker.cancel()
        assert missing == set()

    async def test_a_request_asked_before_any_worker_runs_is_kept_for_the_first(self, world: World) -> None:
        asker = await world.asking()
        asked = world.message()
        await asker.ask(asked)
        worker = await world.answering()
        assert [delivery.message for delivery in await requests(worker, [asked])] == [asked]

    async def test_what_is_committed_is_not_delivered_again(self, world: World) -> None:
        asker, worker = await world.asking(), await world.answering()
        key = uuid.uuid4().bytes
        first, second = world.message(key=key), world.message(key=key)
        await asker.ask(first)
        await worker.commit(await requests(worker, [first]))
        await worker.stop()
        await asker.ask(second)
        heir = await world.answering()
        deliveries: tuple[Delivery, ...] = ()
        async with asyncio.timeout(ARRIVES_WITHIN):
            while not any(delivery.message == second for delivery in deliveries):
                deliveries += await heir.receive(16, 1.0)
        assert first not in [delivery.message for delivery in deliveries]

    async def test_what_a_worker_did_not_commit_is_delivered_after_it_stops(self, world: World) -> None:
        asker, worker = await world.asking(), await world.answering()
        key = uuid.uuid4().bytes
        asked = [world.message(b"%d" % number, key=key) for number in range(3)]
        for message in asked:
            await asker.ask(message)
        deliveries = await requests(worker, asked)
        await worker.commit(deliveries[:1])
        await worker.stop()
        heir = await world.answering()
        assert [delivery.message for delivery in await requests(heir, asked[1:])] == asked[1:]

    async def test_what_a_killed_worker_held_is_delivered_to_another(self, world: World) -> None:
        asked = await killed_with_a_request(world)
        heir = await world.answering()
        assert [delivery.message for delivery in await requests(heir, [asked])] == [asked]

    async def test_a_reply_sent_right_after_start_is_not_lost(self, world: World) -> None:
        worker = await world.answering()
        for instance in (2, 3):  # nobody has listened there before
            asker = await world.asking(instance)
            message = world.message(instance=instance)
            await worker.reply(message)
            assert await next_reply(asker) == message

    async def test_replies_of_before_start_are_not_delivered(self, world: World) -> None:
        worker = await world.answering()
        await worker.reply(world.message(b"for the one before", instance=1))
        asker = await world.asking(1)
        message = world.message(instance=1)
        await worker.reply(message)
        assert await next_reply(asker) == message

    async def test_a_reply_to_an_unknown_partition_harms_nobody(self, world: World) -> None:
        asker, worker = await world.asking(), await world.answering()
        await worker.reply(world.message(instance=900))
        message = world.message()
        await worker.reply(message)
        assert await next_reply(asker) == message

    async def test_receive_gives_at_most_the_limit_and_ends_in_time(self, world: World) -> None:
        asker, worker = await world.asking(), await world.answering()
        asked = [world.message() for _ in range(5)]
        for message in asked:
            await asker.ask(message)
        seen = 0
        while seen < len(asked):
            deliveries = await worker.receive(2, ARRIVES_WITHIN)
            assert 1 <= len(deliveries) <= 2
            seen += sum(delivery.message in asked for delivery in deliveries)
        began = time.monotonic()
        assert await worker.receive(2, 0.3) == ()
        assert 0.2 < time.monotonic() - began < BOUND

    async def test_a_full_worker_takes_nothing_and_goes_on_when_it_has_room(self, world: World) -> None:
        asker, worker = await world.asking(), await world.answering()
        await asker.ask(first := world.message())
        at_work = await requests(worker, [first])
        await asker.ask(second := world.message())
        for _ in range(3):
            assert await worker.receive(0, 0.2) == ()
        assert worker.connected()
        (late,) = await requests(worker, [second])
        await worker.commit([*at_work, late])

    async def test_a_worker_that_joins_in_the_middle_of_a_batch_loses_and_doubles_nothing(self, world: World) -> None:
        asker, first = await world.asking(), await world.answering()
        asked = [world.message(key=bytes([number])) for number in range(40)]
        for message in asked[:20]:
            await asker.ask(message)
        at_work = await requests(first, asked[:20])
        second = await world.answering()
        answering = [asyncio.get_running_loop().create_task(answer_for_ever(bus)) for bus in (first, second)]
        try:
            for delivery in at_work:  # of a batch that began before the partitions were given out anew
                await first.reply(delivery.message)
            await first.commit(at_work)
            for message in asked[20:]:
                await asker.ask(message)
            missing, replies = {message.correlation_id for message in asked}, 0
            async with asyncio.timeout(ARRIVES_WITHIN):
                while missing:
                    missing.discard((await next_reply(asker)).correlation_id)
                    replies += 1
        finally:
            for task in answering:
                task.cancel()
            await asyncio.gather(*answering, return_exceptions=True)
        # What was handed out when they were may be answered by both, and a gateway takes the first; nothing else is.
        assert replies <= len(asked) + len(at_work)

    async def test_a_message_over_the_limit_is_refused_at_once_and_harms_nobody(self, world: World) -> None:
        asker, worker = await world.asking(), await world.answering()
        began = time.monotonic()
        with pytest.raises(BusError):
            await asker.ask(world.message(b"x" * (3 << 20)))
        assert time.monotonic() - began < BOUND
        asked = world.message(b"x" * 600_000)
        await asker.ask(asked)
        assert [delivery.message for delivery in await requests(worker, [asked])] == [asked]

    async def test_calls_before_start_and_after_stop_are_bus_errors(self, world: World) -> None:
        asker, worker = world.new_asking(), world.new_answering()
        assert not asker.connected()
        assert not worker.connected()
        for _ in range(2):
            with pytest.raises(BusError):
                await asker.ask(world.message())
            with pytest.raises(BusError):
                await worker.reply(world.message())
            await asker.stop()
            await worker.stop()

    async def test_stop_ends_the_replies(self, world: World) -> None:
        asker = await world.asking()
        reading = asyncio.get_running_loop().create_task(_collect(asker, {"never"}))
        await asyncio.sleep(0)
        await asker.stop()
        await asyncio.wait_for(reading, BOUND)

    async def test_asks_fail_in_time_while_the_bus_is_down_and_all_recovers(self, world: World) -> None:
        asker, worker = await world.asking(), await world.answering()
        await until_true(lambda: asker.connected() and worker.connected())
        await world.down()
        began = time.monotonic()
        results = await asyncio.gather(
            *(asker.ask(world.message()) for _ in range(8)), worker.reply(world.message()), return_exceptions=True
        )
        assert all(isinstance(result, BusError) for result in results)
        assert time.monotonic() - began < BOUND
        await until_true(lambda: not asker.connected() and not worker.connected())
        await world.up()
        await until_true(lambda: asker.connected() and worker.connected())
        answering = asyncio.get_running_loop().create_task(answer_for_ever(worker))
        asked = world.message(b"after")
        await asker.ask(asked)
        async with asyncio.timeout(ARRIVES_WITHIN):
            while (await next_reply(asker)).correlation_id != asked.correlation_id:
                pass
        answering.cancel()

    async def test_nothing_hangs_when_it_stops_or_starts_while_the_bus_is_down(self, world: World) -> None:
        asker, worker = await world.asking(), await world.answering()
        asked = world.message()
        await asker.ask(asked)
        deliveries = await requests(worker, [asked])
        await world.down()
        try:
            late = [world.new_asking().start(world.first_instance + 5), world.new_answering().start()]
            async with asyncio.timeout(BOUND):
                for result in await asyncio.gather(*late, return_exceptions=True):
                    assert isinstance(result, (BusError, ConfigError))
                for call in (worker.commit(deliveries), worker.receive(1, 0.1), asker.ask(asked)):
                    try:
                        await call
                    except BusError:
                        continue
            for bus in (asker, worker):
                began = time.monotonic()
                await bus.stop()
                assert time.monotonic() - began < BOUND
                await bus.stop()
        finally:
            await world.up()


async def _collect(bus: AskingBus, missing: set[str]) -> None:
    """Read replies until none is missing; other tests' leftovers are answered too and do not count."""
    async with asyncio.timeout(60):
        async for message in bus.replies():
            missing.discard(message.correlation_id)
            if not missing:
                break
