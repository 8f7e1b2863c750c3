"""An HTTP layer that lets go of connections to origins that are over (leans on mitmproxy's internals, pinned: 12.2.3).

mitmproxy's keeps each until its client leaves, with TLS and all, 70 KB, and looks at every one for each request: a
client of HTTP/2 asks on one connection for as long as it likes, and of an origin that speaks HTTP/1.1 each request has
a connection of its own (mitmproxy#4456).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode

Commands = Generator[commands.Command, Any, None]


class ForgettingHttpLayer(HttpLayer):
    """Forgets a connection once its end is known, it is closed and no stream sends to it any more."""

    def __init__(self, context: Context, mode: HTTPMode) -> None:
        super().__init__(context, mode)
        self._ended: list[Connection] = []

    def _handle_event(self, event: events.Event) -> Commands:
        return self._closed(event) if type(event) is events.ConnectionClosed else super()._handle_event(event)

    def _closed(self, event: events.ConnectionClosed) -> Commands:
        yield from super()._handle_event(event)
        # The layer around a tunnel sees the connections of all requests inside, and begins no stream for any of them.
        self.forget_ended()
        if event.connection is not self.context.client:
            self._ended.append(event.connection)

    def forget_ended(self) -> None:
        """Forget what can be forgotten; called when a stream begins, by when the one before is mostly over, and when
        the next connection ends."""
        if not self._ended:
            return
        kept = []
        for connection in self._ended:
            if connection.state is ConnectionState.CLOSED and not self._is_used(connection):
                self.connections.pop(connection, None)
            else:
                kept.append(connection)
        self._ended = kept

    def _is_used(self, connection: Connection) -> bool:
        # The layer's own, which a tunnel brings along, tells by being known that it has been used.
        return connection is self.context.server or any(
            stream.context.server is connection for stream in self.streams.values()
        )


def forked(context: Context) -> Context:
    """Do what ``Context.fork`` does without the server connection that it makes first, to throw it away."""
    fork = Context.__new__(Context)
    fork.client, fork.options, fork.server = context.client, context.options, context.server
    fork.layers = context.layers.copy()
    return fork
