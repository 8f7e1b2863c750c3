"""mitmproxy's handler of a client connection, with less between an event and what follows from it (pinned: 12.2.3).

mitmproxy makes each hook a task whose end comes in through a lock, and writes each piece with a system call of its own.
Of a request's four hooks few ever wait: here what follows a hook is taken in at once where nothing in it waited, and
what one event has to say to a connection leaves in one write.  The layers see the same events in the same order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from functools import partial
from time import monotonic
from typing import Any, Final

from mitmproxy.connection import Connection
from mitmproxy.flow import Flow
from mitmproxy.http import HTTPFlow
from mitmproxy.master import Master
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler, ServerInstance
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.utils import asyncio_utils

from proxy_addon.runtime.dispatch import CachedDispatch

TURN_SECONDS: Final = 0.002
"""Then other connections have a turn: one read of 64 KB may hold a thousand requests."""
GATHERED_BYTES: Final = 32 << 10
"""What waits to leave together at most: past it the copying costs more than the system call."""
_FLOWS: Final = (HTTPFlow, Flow)
"""The second alone is an abstract class: to look whether something is one takes a while."""
_log = logging.getLogger("mitmproxy.proxy.server")


class ClientHandler(ProxyConnectionHandler):
    """One client connection and those to origins that belong to it."""

    def __init__(
        self,
        master: Master,
        dispatch: CachedDispatch,
        instance: ServerInstance[Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        turn: float = TURN_SECONDS,
    ) -> None:
        super().__init__(master, reader, writer, master.options, instance.mode)  # type: ignore[no-untyped-call]
        self.layer = instance.make_top_layer(self.layer.context)
        self._dispatch = dispatch
        self._turn = turn
        self._events: deque[events.Event] = deque()
        self._running = False
        self._quiet = asyncio.Event()  # no events are left for a later turn
        self._quiet.set()
        self._until: float | None = None  # when the turn ends that what has been read already is taken in
        self._leaving: dict[Connection, list[bytes]] = {}
        self._hooks: set[asyncio.Task[None]] = set()  # those that wait

    async def server_event(self, event: events.Event) -> None:
        """Give an event to the layers, and do what they ask for.  Over when all events that there are have been."""
        self._events.append(event)
        if self._running:  # from a hook or a connection that the layers have just asked for
            return
        if self._quiet.is_set():
            if self._until is None:
                self._until = monotonic() + self._turn
            self._run(self._until)
            if not self._events and self._is_read_on(event):
                if monotonic() < self._until:
                    return
                self._later()
        self._until = None
        if not self._quiet.is_set():
            await self._until_quiet()

    def _is_read_on(self, event: events.Event) -> bool:
        """Tell whether the reader has more, up to 320 KB: what reads on then does so without a turn for anybody."""
        if not isinstance(event, events.DataReceived):
            return False
        io = self.transports.get(event.connection)
        return io is not None and isinstance(io.reader, asyncio.StreamReader) and bool(io.reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001

    async def _until_quiet(self) -> None:
        """Wait for the later turns; a cancellation comes in after them: mitmproxy's reader expects none here."""
        cancelled: asyncio.CancelledError | None = None
        while not self._quiet.is_set():
            try:
                await self._quiet.wait()
            except asyncio.CancelledError as error:
                cancelled = error
        task = asyncio.current_task()
        if cancelled is not None and task is not None:
            task.cancel(*cancelled.args)

    async def drain_writers(self) -> None:
        """Wait until what was written has left, as far as anything is left."""
        if any(_is_behind(io.writer) for io in self.transports.values()):
            await super().drain_writers()  # type: ignore[no-untyped-call]

    def _run(self, until: float | None = None) -> None:
        self.timeout_watchdog.register_activity()
        self._running, end = True, monotonic() + self._turn if until is None else until
        try:
            while self._events:
                self._take(self._events.popleft())
                if self._events and monotonic() >= end:
                    break
        finally:
            self._running = False
            self._write()
            if self._events:
                self._later()
            else:
                self._quiet.set()

    def _later(self) -> None:
        """Go on after other connections had a turn."""
        self._quiet.clear()
        asyncio.get_running_loop().call_soon(self._run)

    def _take(self, event: events.Event) -> None:
        try:
            for command in self.layer.handle_event(event):
                self._carry_out(command)
        except Exception:  # noqa: BLE001 - as mitmproxy does: one broken connection is not the others' end
            self.log("mitmproxy has crashed!", logging.ERROR, exc_info=True)

    def _carry_out(self, command: commands.Command) -> None:
        """Do what ``server_event`` of mitmproxy does for a command; the most frequent ones come first."""
        if isinstance(command, commands.StartHook):
            self._hook(command)
        elif isinstance(command, commands.SendData):
            self._send(command.connection, command.data)
        elif isinstance(command, commands.Log):
            if _log.isEnabledFor(command.level):
                self.log(command.message, command.level)
        elif isinstance(command, commands.OpenConnection):
            self._open(command)
        elif isinstance(command, commands.RequestWakeup):
            self.wakeup_timer.add(self._task(self.wakeup(command), f"wakeup timer ({command.delay:.1f}s)"))
        elif not isinstance(command, commands.ConnectionCommand):
            raise TypeError(f"Unexpected command: {command}")
        elif command.connection in self.transports and isinstance(command, commands.CloseConnection):
            self._write()
            half = isinstance(command, commands.CloseTcpConnection) and command.half_close
            self.close_connection(command.connection, half)

    def _open(self, command: commands.OpenConnection) -> None:
        name = f"server connection handler {command.connection.address}"
        handler = self._task(self.open_connection(command), name)
        self.transports[command.connection] = ConnectionIO(handler=handler)

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio_utils.create_task(work, name=name, keep_ref=False, client=self.client.peername)

    def _hook(self, hook: commands.StartHook) -> None:
        (argument,) = hook.args()
        rest = self._dispatch.begin(hook.name, argument)
        if rest is None and not (isinstance(argument, _FLOWS) and argument.intercepted):
            self._hook_over(hook)
            return
        work = self._wait_for(rest, argument)
        task = asyncio.Task(work, loop=asyncio.get_running_loop(), name=hook.name, eager_start=True)
        if task.done():
            self._hook_ended(hook, task)
            return
        self._hooks.add(task)  # the event loop itself keeps no task alive
        unwatched = self.timeout_watchdog.disarm()
        unwatched.__enter__()
        task.add_done_callback(partial(self._hook_came_back, hook, unwatched))

    async def _wait_for(self, rest: Coroutine[Any, Any, None] | None, argument: object) -> None:
        if rest is not None:
            await rest
        if isinstance(argument, Flow):
            await argument.wait_for_resume()

    def _hook_came_back(
        self, hook: commands.StartHook, unwatched: AbstractContextManager[None], task: asyncio.Task[None]
    ) -> None:
        self._hooks.discard(task)
        unwatched.__exit__(None, None, None)
        self._hook_ended(hook, task)
        if self._events and self._quiet.is_set():
            self._run()

    def _hook_ended(self, hook: commands.StartHook, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return  # the client has left, and nothing follows
        error = task.exception()
        if error is not None:
            self.log(f"the hook {hook.name} failed: {error!r}", logging.ERROR)
            return
        self._hook_over(hook)

    def _hook_over(self, hook: commands.StartHook) -> None:
        if hook.blocking:
            self._events.append(events.HookCompleted(hook))

    def _send(self, connection: Connection, data: bytes) -> None:
        waiting = self._leaving.get(connection)
        if waiting is None:
            waiting = self._leaving[connection] = []
        waiting.append(data)
        if len(data) > GATHERED_BYTES:
            self._write()

    def _write(self) -> None:
        """Write what was gathered."""
        if not self._leaving:
            return
        leaving, self._leaving = self._leaving, {}
        for connection, pieces in leaving.items():
            io = self.transports.get(connection)
            if io is None or io.writer is None or io.writer.is_closing():
                continue  # it has been closed meanwhile
            last = pieces.pop() if len(pieces[-1]) > GATHERED_BYTES else b""
            if pieces:
                io.writer.write(b"".join(pieces) if len(pieces) > 1 else pieces[0])
            if last:
                io.writer.write(last)


def _is_behind(writer: object) -> bool:
    return not isinstance(writer, asyncio.StreamWriter) or writer.transport.get_write_buffer_size() > 0
