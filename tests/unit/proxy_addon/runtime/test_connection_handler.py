"""A client connection is handled as mitmproxy handles it: same events in the same order, same bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy.http import HTTPFlow
from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook, HttpResponseHook
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from proxy_addon.runtime.connection_handler import GATHERED_BYTES, TURN_SECONDS, ClientHandler
from proxy_addon.runtime.dispatch import CachedDispatch

Top = Callable[[Context], layer.Layer]
STEPS = ("send", "send much", "log", "hook", "hook that waits", "wake up")


async def turn() -> None:
    """Let the event loop do what it has."""
    over = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(over.set_result, None)
    await over


class Scripted(layer.Layer):
    """Does the steps of a plan for each piece of data, and writes down what it is told; ends with the client."""

    def __init__(self, context: Context, plan: list[str], seen: list[str]) -> None:
        super().__init__(context)
        self._plan, self._seen, self._flow = plan, seen, tflow.tflow()

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        self._seen.append(type(event).__name__)
        client = self.context.client
        if isinstance(event, events.ConnectionClosed):
            yield commands.CloseConnection(client)
        elif isinstance(event, events.DataReceived):
            yield commands.SendData(client, b"<")
            for step in self._plan:
                match step:
                    case "send":
                        yield commands.SendData(client, b"piece ")
                    case "send much":
                        yield commands.SendData(client, bytes(GATHERED_BYTES + 1))
                    case "log":
                        yield commands.Log("a word")
                    case "hook":
                        yield HttpRequestHook(self._flow)
                    case "hook that waits":
                        yield HttpResponseHook(self._flow)
                    case "wake up":
                        yield commands.RequestWakeup(0)
                self._seen.append(step)
            yield commands.SendData(client, b">")


class Addon:
    """Has a hook that does not wait and one that does."""

    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    async def request(self, _: HTTPFlow) -> None:
        self._seen.append("request")

    async def response(self, _: HTTPFlow) -> None:
        await turn()
        self._seen.append("response")


class Instance:
    """Where the handler finds its mode and its first layer."""

    mode = ProxyMode.parse("regular")

    def __init__(self, top: Top) -> None:
        self.make_top_layer = top


def ours(master: Master, top: Top, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> ClientHandler:
    return made(master, top, reader, writer, TURN_SECONDS)


def ours_in_turns(
    master: Master, top: Top, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> ClientHandler:
    return made(master, top, reader, writer, 0.0)


def made(
    master: Master, top: Top, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, turn: float
) -> ClientHandler:
    assert isinstance(master.addons, CachedDispatch)
    instance: Any = Instance(top)
    return ClientHandler(master, master.addons, instance, reader, writer, turn=turn)


def its_own(
    master: Master, top: Top, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> ProxyConnectionHandler:
    handler = ProxyConnectionHandler(master, reader, writer, master.options, Instance.mode)
    handler.layer = top(handler.layer.context)
    return handler


def make_master(*addons: object) -> Master:
    options = Options()
    options.add_option("proxy_debug", bool, False, "")
    options.add_option("tcp_timeout", int, 600, "")
    master = Master(options)
    master._legacy_log_events.uninstall()  # noqa: SLF001
    master.addons = CachedDispatch(master)
    master.addons.add(*addons)
    return master


async def talk(make: Callable[..., ProxyConnectionHandler], plan: list[str], pieces: int) -> tuple[bytes, list[str]]:
    """Send some pieces, each when the one before is answered; return the answers and what happened."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    seen: list[str] = []
    async with connected(make, Addon(seen), plan=plan, seen=seen) as (handler, client, sending):
        handling = asyncio.get_running_loop().create_task(handler.handle_client())
        answers = b""
        for _ in range(pieces):
            sending.write(b"?")
            answers += await client.readuntil(b">")
        sending.close()
        await handling
    return answers, [word for word in seen if word != "Wakeup"]


@asynccontextmanager
async def connected[T: ProxyConnectionHandler](
    make: Callable[..., T], *addons: object, plan: list[str], seen: list[str]
) -> AsyncIterator[tuple[T, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A handler, and the client's end of its connection."""
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    client, sending = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1 << 20)
    reader, writer = await accepted.get()
    try:
        yield (
            make(make_master(*addons), lambda context: Scripted(context, plan, seen), reader, writer),
            client,
            sending,
        )
    finally:
        for each in (writer, sending):
            each.close()
            with contextlib.suppress(OSError):
                await each.wait_closed()
        server.close()
        await server.wait_closed()


@settings(deadline=None, max_examples=40)
@given(plan=st.lists(st.sampled_from(STEPS), max_size=8), pieces=st.integers(1, 3))
@pytest.mark.parametrize("make", [ours, ours_in_turns])
def test_the_same_happens_as_with_its_own_handler(
    make: Callable[..., ClientHandler], plan: list[str], pieces: int
) -> None:
    assert asyncio.run(talk(make, plan, pieces)) == asyncio.run(talk(its_own, plan, pieces))


async def test_other_flows_have_a_turn_while_a_connection_has_much_to_do() -> None:
    seen: list[str] = []
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        if seen.count("hook") < 5:
            asyncio.get_running_loop().call_soon(count)

    async with connected(ours_in_turns, Addon([]), plan=["hook"] * 5, seen=seen) as (handler, _, _):
        count()
        await handler.server_event(events.DataReceived(handler.client, b"?"))
    assert seen.count("hook") == 5
    assert turns >= 5


async def test_other_flows_have_a_turn_while_what_has_been_read_already_is_taken_in() -> None:
    seen: list[str] = []
    turns: list[int] = []  # how many pieces had been taken in at each

    def count() -> None:
        turns.append(seen.count("DataReceived"))
        if turns[-1] < 8:
            asyncio.get_running_loop().call_soon(count)

    async with connected(ours_in_turns, Addon([]), plan=[], seen=seen) as (handler, _, sending):
        reader = handler.transports[handler.client].reader
        assert isinstance(reader, asyncio.StreamReader)
        reader.feed_data(bytes(8 * 65535))  # mitmproxy takes as much at a time
        count()
        handling = asyncio.get_running_loop().create_task(handler.handle_client())
        while turns[-1] < 8:
            await turn()
        sending.close()
        await handling
    assert set(range(1, 9)) <= set(turns)


async def test_a_reader_that_is_cancelled_meanwhile_ends_after_what_it_has_read() -> None:
    seen: list[str] = []
    async with connected(ours_in_turns, Addon([]), plan=["hook"] * 5, seen=seen) as (handler, _, _):
        ended: list[str] = []

        async def read() -> None:
            await handler.server_event(events.DataReceived(handler.client, b"?"))
            ended.append(f"after {seen.count('hook')}")
            await asyncio.get_running_loop().create_future()

        reading = asyncio.get_running_loop().create_task(read())
        asyncio.get_running_loop().call_soon(reading.cancel)
        await asyncio.wait({reading})
    assert ended == ["after 5"]
    assert reading.cancelled()


async def test_a_client_whose_hook_waits_does_not_time_out() -> None:
    came, over = asyncio.Event(), asyncio.Event()

    class Waits:
        async def request(self, _: HTTPFlow) -> None:
            await came.wait()

        async def response(self, _: HTTPFlow) -> None:
            over.set()

    seen: list[str] = []
    async with connected(ours, Waits(), plan=["hook", "hook that waits"], seen=seen) as (handler, _, _):
        await handler.server_event(events.DataReceived(handler.client, b"?"))
        assert not handler.timeout_watchdog.can_timeout.is_set()
        came.set()
        await over.wait()
        assert handler.timeout_watchdog.can_timeout.is_set()


async def test_nothing_follows_a_hook_that_is_cancelled() -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    class Waits:
        async def request(self, _: HTTPFlow) -> None:
            tasks.append(asyncio.current_task())
            await asyncio.get_running_loop().create_future()

    seen: list[str] = []
    async with connected(ours, Waits(), plan=["hook"], seen=seen) as (handler, _, _):
        await handler.server_event(events.DataReceived(handler.client, b"?"))
        (task,) = tasks
        assert task is not None
        task.cancel()
        await asyncio.wait({task})
        await turn()
        assert "hook" not in seen
        assert handler.timeout_watchdog.can_timeout.is_set()


@pytest.mark.error_logs("mitmproxy has crashed!")
async def test_a_layer_that_breaks_ends_neither_the_connection_nor_the_proxy(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(layer.Layer):
        def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
            yield commands.Log("soon")
            raise ValueError(event)

    async with connected(ours, plan=[], seen=[]) as (handler, _, _):
        handler.layer = Broken(handler.layer.context)
        await handler.server_event(events.DataReceived(handler.client, b"?"))
    assert "mitmproxy has crashed!" in caplog.text
