"""A producer and a consumer that can be got rid of.

aiokafka closes by asking the brokers' leave: it flushes, leaves its group, waits for sockets to empty.  While brokers
are frozen or gone that takes for ever, and giving it up half-way leaves tasks and sockets behind.  So everything that
runs for one pair of clients runs in a context of its own, by which its tasks are found and ended, and their sockets
are cut.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.adapters.kafka.calls import bounded
from shared.errors import BusError

START_TIMEOUT: Final = 10.0
JOIN_TIMEOUT: Final = 20.0  # a group is complete when the slowest member's session has ended
CLOSE_TIMEOUT: Final = 1.5
CUT_TIMEOUT: Final = 0.5

_owner: ContextVar[object] = ContextVar("kafka_clients")
_logger = logging.getLogger(__name__)


class Clients:
    """Clients that were started by ``open_clients``."""

    def __init__(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self.producer = producer
        self.consumer = consumer
        self._context: Context = copy_context()
        self._context.run(_owner.set, self)

    async def bounded[T](self, call: Coroutine[Any, Any, T], timeout: float, failure: str) -> T:
        """Return what a call of these clients returns; as ``calls.bounded``."""
        return await bounded(call, timeout, failure, context=self._context)

    async def close(self, *, politely: bool) -> None:
        """Close within about two ``CLOSE_TIMEOUT``; ``politely`` where the brokers answer: flush, leave the group."""
        if politely and await self._stop(CLOSE_TIMEOUT):
            return
        await self._cut()
        await self._stop(CUT_TIMEOUT)
        await self._cut()

    async def _stop(self, timeout: float) -> bool:
        stops = (self.consumer.stop(), self.producer.stop())
        calls = (self.bounded(stop, timeout, "Kafka's client did not close") for stop in stops)
        errors = [error for error in await asyncio.gather(*calls, return_exceptions=True) if error is not None]
        for error in errors:
            if not isinstance(error, BusError):
                raise error
            _logger.debug("%s", error)
        return not errors

    async def _cut(self) -> None:
        """End every task of these clients and drop their connections."""
        tasks = [task for task in asyncio.all_tasks() if task.get_context().get(_owner) is self]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CUT_TIMEOUT)
        # aiokafka has no way to drop a connection: its close waits until what was written has been read.
        for client in (self.producer.client, self.consumer._client):  # noqa: SLF001
            for connection in list(client._conns.values()):  # noqa: SLF001
                if connection._writer is not None:  # noqa: SLF001
                    connection._writer.transport.abort()  # noqa: SLF001
                connection.close()
        await asyncio.sleep(0)  # transports end in the loop's next turn


async def open_clients(
    producer: AIOKafkaProducer,
    consumer: AIOKafkaConsumer,
    start_consumer: Callable[[AIOKafkaConsumer], Coroutine[Any, Any, None]],
    topics: Collection[str],
) -> Clients:
    """Start both clients, which know of ``topics`` only; closes them again where one does not start."""
    clients = Clients(producer, consumer)
    try:
        await clients.bounded(_start_producer(producer, topics), START_TIMEOUT, "Kafka cannot be reached")
        await clients.bounded(start_consumer(consumer), JOIN_TIMEOUT, "Kafka gave no partition to read")
    except BaseException:
        await clients.close(politely=False)
        raise
    return clients


async def _start_producer(producer: AIOKafkaProducer, topics: Collection[str]) -> None:
    await producer.start()
    # Without this the client asks for every topic of the cluster, twice a second.
    await producer.client.set_topics(topics)
