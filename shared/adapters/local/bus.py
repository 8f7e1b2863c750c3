"""The embedded bus's two ends: clients of the hub that reconnect by themselves when it restarts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from shared.adapters.inbox import Inbox
from shared.adapters.local.frames import (
    MAX_MESSAGE,
    Ask,
    Asked,
    Done,
    Frame,
    Given,
    Hello,
    Reply,
    Want,
    Welcome,
    abort,
    encode_frame,
    fits,
    read_frame,
)
from shared.adapters.local.hub import WORKER
from shared.errors import BusError, BusFullError, BusTimeoutError, ConfigError, WireError
from shared.types import BusMessage, Delivery

CONNECT_TIMEOUT: Final = 3.0
SEND_TIMEOUT: Final = 1.0
"""Seconds for the hub to take one message; it answers in well under a millisecond when it runs."""
UNSENT_BYTES: Final = 64 << 10
"""Up to which a frame may wait for the hub to read: beyond, asyncio's transports ask who writes to wait."""
RECONNECT_SECONDS: Final = 0.1
WANT_SECONDS: Final = 0.25  # after a reconnection, the hub learns this late that a worker still waits
REPLIES: Final = 16_384  # replies held for an asker that does not read

_logger = logging.getLogger(__name__)


class _HubClient:
    """One connection at a time: says hello, hands every frame on, connects again when it is lost."""

    def __init__(self, socket_path: Path, instance: int) -> None:
        self._path = socket_path
        self._hello = Hello(instance)
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect; raises ConfigError where no hub listens."""
        try:
            reader = await self._connect()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise ConfigError(
                "bus local:// needs its hub, which runs in `safelight up`: start `safelight up` with this data_dir,"
                " or set bus to kafka://… to run roles on their own"
            ) from error
        except (OSError, TimeoutError, WireError, asyncio.IncompleteReadError) as error:
            raise BusTimeoutError(f"the hub at {self._path} does not answer: {error}") from error
        self._task = asyncio.get_running_loop().create_task(self._run(reader))

    async def stop(self) -> None:
        """Drop the connection; idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def connected(self) -> bool:
        """Tell whether the hub is there."""
        return self._writer is not None

    async def send(self, frame: Frame) -> None:
        """Send a frame; raises BusError within ``SEND_TIMEOUT``."""
        data = encode_frame(frame)
        writer = self._writer
        if writer is None:
            raise BusError("the bus's hub is not there")
        writer.write(data)
        if not writer.is_closing() and writer.transport.get_write_buffer_size() <= UNSENT_BYTES:
            return  # a timer for every frame would cost as much as the frame
        try:
            await asyncio.wait_for(writer.drain(), SEND_TIMEOUT)
        except TimeoutError as error:
            abort(writer)  # nor may what is not read pile up here
            raise BusTimeoutError(f"the hub does not read: nothing sent within {SEND_TIMEOUT} s") from error
        except OSError as error:
            raise BusError(f"the hub has gone: {error}") from error

    def receive(self, frame: Frame) -> None:
        """Take a frame from the hub."""
        raise WireError(f"{type(frame).__name__} is not for this side to receive")

    def lost(self) -> None:
        """The connection is gone, and with it whatever was under way."""

    async def _connect(self) -> asyncio.StreamReader:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(self._path)
            try:
                writer.write(encode_frame(self._hello))
                if not isinstance(await read_frame(reader), Welcome):
                    raise WireError("the hub did not say welcome")
            except BaseException:
                abort(writer)
                raise
        self._writer = writer
        return reader

    async def _run(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                await self._read(reader)
                reader = await self._reconnect()
        finally:
            self._drop()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                self.receive(await read_frame(reader))
        except (asyncio.IncompleteReadError, OSError, WireError) as error:
            _logger.warning("the bus's hub has gone: %s", error)
        finally:
            self._drop()

    async def _reconnect(self) -> asyncio.StreamReader:
        while True:
            await asyncio.sleep(RECONNECT_SECONDS)
            with contextlib.suppress(OSError, TimeoutError, WireError, asyncio.IncompleteReadError):
                return await self._connect()

    def _drop(self) -> None:
        if self._writer is not None:
            abort(self._writer)
            self._writer = None
            self.lost()


class _AskingClient(_HubClient):
    def __init__(self, socket_path: Path, instance: int, replies: Inbox[BusMessage]) -> None:
        super().__init__(socket_path, instance)
        self._replies = replies
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._numbers = 0

    async def ask(self, message: BusMessage) -> None:
        _check(message)
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            await self.send(Ask(number, message))
            refused = await asyncio.wait_for(answer, SEND_TIMEOUT)
        except TimeoutError as error:
            raise BusTimeoutError(f"the hub did not take a request within {SEND_TIMEOUT} s") from error
        finally:
            del self._asked[number]
        if refused:
            raise BusFullError(refused)

    def receive(self, frame: Frame) -> None:
        match frame:
            case Reply(message):
                self._replies.put(message)
            case Asked(number, refused):
                answer = self._asked.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(refused)
            case _:
                super().receive(frame)

    def lost(self) -> None:
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(BusError("the bus's hub has gone"))


class LocalAskingBus:
    """``AskingBus`` over the hub's socket."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._replies: Inbox[BusMessage] = Inbox(REPLIES)
        self._client: _AskingClient | None = None

    async def start(self, instance: int) -> None:
        """Connect as ``instance``; raises ConfigError where no hub listens."""
        client = _AskingClient(self._path, instance, self._replies)
        await client.start()
        self._client = client

    async def ask(self, message: BusMessage) -> None:
        """See the port; an ask whose hub dies while it waits may or may not have been queued."""
        if self._client is None:
            raise BusError("the bus is not started")
        await self._client.ask(message)

    def replies(self) -> AsyncIterator[BusMessage]:
        """See the port."""
        return aiter(self._replies)

    def connected(self) -> bool:
        """See the port."""
        return self._client is not None and self._client.connected()

    async def stop(self) -> None:
        """See the port."""
        if self._client is not None:
            await self._client.stop()
        self._replies.close()


class _AnsweringClient(_HubClient):
    """Keeps one ``Want`` open at most; what comes after its receiver gave up waits here for the next."""

    def __init__(self, socket_path: Path) -> None:
        super().__init__(socket_path, WORKER)
        self._given: Inbox[Delivery] = Inbox(REPLIES)
        self._connection = 0  # deliveries of an earlier connection went back to the queue with it
        self._wanting = False

    async def receive_requests(self, limit: int, timeout: float) -> tuple[Delivery, ...]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not (taken := self._given.take(limit)) and limit > 0:
            if not self._wanting and self.connected():
                self._wanting = True
                await self.send(Want(limit))
            left = deadline - loop.time()
            if left <= 0 or self._given.closed:
                break
            await self._given.wait(min(left, WANT_SECONDS))
        return taken

    async def commit(self, deliveries: Sequence[Delivery]) -> None:
        numbers = tuple(number for delivery in deliveries if (number := self._number(delivery)) is not None)
        if numbers:
            await self.send(Done(numbers))

    def receive(self, frame: Frame) -> None:
        match frame:
            case Given(requests):
                self._wanting = False
                for number, message in requests:
                    self._given.put(Delivery(message=message, token=("local", self._connection, number)))
            case _:
                super().receive(frame)

    def lost(self) -> None:
        self._connection += 1
        self._wanting = False
        self._given.clear()

    def close(self) -> None:
        self._given.close()

    def _number(self, delivery: Delivery) -> int | None:
        _, connection, number = delivery.token
        return number if connection == self._connection else None


class LocalAnsweringBus:
    """``AnsweringBus`` over the hub's socket."""

    def __init__(self, socket_path: Path) -> None:
        self._client = _AnsweringClient(socket_path)

    async def start(self) -> None:
        """Connect; raises ConfigError where no hub listens."""
        await self._client.start()

    async def receive(self, limit: int, timeout: float) -> tuple[Delivery, ...]:
        """See the port."""
        return await self._client.receive_requests(limit, timeout)

    async def reply(self, message: BusMessage) -> None:
        """See the port; the hub drops a reply to an instance that is not connected."""
        _check(message)
        await self._client.send(Reply(message))

    async def commit(self, deliveries: Sequence[Delivery]) -> None:
        """See the port; deliveries of a connection that was lost are already queued again."""
        await self._client.commit(deliveries)

    def connected(self) -> bool:
        """See the port."""
        return self._client.connected()

    async def stop(self) -> None:
        """See the port."""
        self._client.close()
        await self._client.stop()


def _check(message: BusMessage) -> None:
    if not fits(message):
        raise BusError(f"a message of {len(message.value)} bytes is over the bus's limit of {MAX_MESSAGE}")
