"""Stops reading from whoever sends more than can be judged.

mitmproxy puts what arrives for a flow into a queue while a hook of the flow waits, without a bound: who sends on while
a verdict is awaited fills the proxy's memory.  Here a connection is not read from while the queue of one of its flows
is over a limit, so that TCP's own window stops its sender; other flows of an HTTP/2 connection wait with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final

from mitmproxy import ctx
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers.http._events import RequestData, ResponseData
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from shared.telemetry import Metrics

MAX_QUEUED_BYTES: Final = 8 << 20
"""Of one flow; what is read in one go (64 KiB) comes on top."""
MAX_QUEUED_EVENTS: Final = 2048
"""Small pieces cost more than their bytes."""

Commands = Generator[commands.Command, Any, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flowing:
    """Whether a connection, known by that of its client, is to be read from."""

    client: Connection
    connection: Connection
    flows: bool


@dataclass
class FlowingHook(commands.StartHook):
    """A queue has grown over its limit, or is short again; the flow does not wait for the hook."""

    name = "safelight_flowing"
    blocking = False
    flowing: Flowing


class BoundedQueue(Layer):
    """A layer that says when too much waits in its queue."""

    def __init__(self, context: Context, *arguments: Any, **options: Any) -> None:
        super().__init__(context, *arguments, **options)
        self._queued = 0
        self._stopped: list[Connection] = []

    def handle_event(self, event: events.Event) -> Commands:
        """Handle an event; the queue is looked at where there is one, so that nothing else pays for it."""
        if self._paused is None:
            return super().handle_event(event)
        return self._handle_watched(event)

    def _handle_watched(self, event: events.Event) -> Commands:
        before = len(self._paused_event_queue)
        yield from super().handle_event(event)
        if len(self._paused_event_queue) > before:
            self._queued += _size(event)
            is_over = self._queued > MAX_QUEUED_BYTES or before >= MAX_QUEUED_EVENTS
            source = self._source(event) if is_over else None
            if source is not None and source not in self._stopped:
                self._stopped.append(source)
                yield FlowingHook(Flowing(client=self.context.client, connection=source, flows=False))
        elif len(self._paused_event_queue) < before:
            self._queued = sum(map(_size, self._paused_event_queue))
            if self._queued <= MAX_QUEUED_BYTES // 2 and len(self._paused_event_queue) <= MAX_QUEUED_EVENTS // 2:
                stopped, self._stopped = self._stopped, []
                for each in stopped:
                    yield FlowingHook(Flowing(client=self.context.client, connection=each, flows=True))

    def _source(self, event: events.Event) -> Connection | None:
        if isinstance(event, events.DataReceived):
            return event.connection
        if isinstance(event, RequestData):
            return self.context.client
        return self.context.server if isinstance(event, ResponseData) else None


class Backpressure:
    """The addon that does what the queues ask for.

    mitmproxy reads, handles what it has read, and lets the writers drain before it reads again: a connection that is
    not to be read from waits there, and what has arrived stays with the kernel.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._gates: dict[Connection, _Gate] = {}

    def safelight_flowing(self, flowing: Flowing) -> None:
        """Stop to read from a connection, or go on once no flow of it asks for a stop any more."""
        if flowing.flows:
            gate = self._gates.get(flowing.connection)
            if gate is not None and gate.release():
                del self._gates[flowing.connection]
            return
        handler: ConnectionHandler | None = ctx.master.addons.get("proxyserver").connections.get(flowing.client.id)
        if handler is None or flowing.connection not in handler.transports:
            return
        self._metrics.count("safelight_proxy_limit_hits_total", limit="flow_queue")
        self._gates.setdefault(flowing.connection, _Gate()).stops += 1
        if "drain_writers" not in vars(handler):
            drain = handler.drain_writers
            handler.drain_writers = lambda: self._drain(handler, drain)  # type: ignore[method-assign]

    async def _drain(self, handler: ConnectionHandler, drain: Callable[[], Awaitable[None]]) -> None:
        await drain()
        task = asyncio.current_task()
        for connection, transport in list(handler.transports.items()):
            if transport.handler is task and (gate := self._gates.get(connection)) is not None:
                await gate.opened.wait()

    def client_disconnected(self, client: Connection) -> None:
        """Forget a connection that is gone."""
        self._gates.pop(client, None)

    def server_disconnected(self, data: ServerConnectionHookData) -> None:
        """Forget a connection that is gone."""
        self._gates.pop(data.server, None)


@dataclass(slots=True)
class _Gate:
    """Closed while any flow asks for a stop."""

    stops: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> bool:
        self.stops -= 1
        if self.stops <= 0:
            self.opened.set()
        return self.stops <= 0


def _size(event: events.Event) -> int:
    return len(event.data) if isinstance(event, events.DataReceived | RequestData | ResponseData) else 0
