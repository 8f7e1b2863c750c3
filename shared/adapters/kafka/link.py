"""A producer and a consumer, and the watch that tells whether brokers answer and replaces clients that are lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiokafka.errors import UnknownTopicOrPartitionError

from shared.adapters.kafka.clients import Clients
from shared.errors import BusError, BusTimeoutError, ConfigError
from shared.types import BusMessage

SEND_TIMEOUT: Final = 1.0
"""Seconds for one message; 0.1 s is the 99.9th percentile on a busy machine."""
PING_SECONDS: Final = 0.5
PING_TIMEOUT: Final = 2.0
REPLACE_AFTER: Final = 10.0
"""Seconds without an answer after which clients are made anew: brokers may be back under other addresses or with
other topics, which aiokafka does not always find out."""
REPLACE_RETRY: Final = 1.0

_CORRELATION: Final = "correlation-id"
_REPLY_PARTITION: Final = "reply-partition"
_logger = logging.getLogger(__name__)


class KafkaLink:
    """Keeps clients made by ``connect`` alive from ``start`` to ``stop``; brokers that answer know ``topic``."""

    def __init__(self, connect: Callable[[], Awaitable[Clients]], topic: str) -> None:
        self._connect = connect
        self._topic = topic
        self._clients: Clients | None = None
        self._answers = False
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect; raises BusTimeoutError where no broker can be reached, BusError where it refuses."""
        self._clients = await self._connect()
        self._answers = True
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Close within about three seconds; idempotent."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self._drop()

    @property
    def clients(self) -> Clients:
        """The clients; raises BusError while there are none."""
        if self._clients is None:
            raise BusError("Kafka is not connected")
        return self._clients

    def answers(self) -> bool:
        """Tell whether the brokers answered when they were last asked."""
        return self._answers

    async def send(self, topic: str, message: BusMessage, partition: int | None = None) -> None:
        """Send a message; raises BusError within ``SEND_TIMEOUT``, at once while the brokers are known to be down."""
        producer = self.clients.producer
        if not self._answers:
            raise BusError("Kafka's brokers do not answer")
        headers = [
            (_CORRELATION, message.correlation_id.encode()),
            (_REPLY_PARTITION, str(message.partition).encode()),
        ]
        call = producer.send_and_wait(topic, message.value, key=message.key, partition=partition, headers=headers)
        try:
            await self.clients.bounded(call, SEND_TIMEOUT, "Kafka did not take a message")
        except BusTimeoutError:
            self._answers = False  # until the next ping says otherwise: the next ones need not wait
            raise

    async def knows_partition(self, topic: str, partition: int) -> bool:
        """Tell whether a topic has a partition, looking again where it may be new."""
        client = self.clients.producer.client
        if partition in (client.cluster.partitions_for_topic(topic) or ()):
            return True
        await self.clients.bounded(self._refresh(), SEND_TIMEOUT, "Kafka did not list its partitions")
        return partition in (client.cluster.partitions_for_topic(topic) or ())

    async def _watch(self) -> None:
        while True:
            await self._until_lost()
            await self._drop()
            await self._replace()

    async def _until_lost(self) -> None:
        loop = asyncio.get_running_loop()
        answered = loop.time()
        while loop.time() - answered < REPLACE_AFTER:
            await asyncio.sleep(PING_SECONDS)
            self._answers = await self._ping()
            if self._answers:
                answered = loop.time()

    async def _ping(self) -> bool:
        try:
            await self.clients.bounded(self._refresh(), PING_TIMEOUT, "Kafka does not answer")
        except BusError as error:
            if self._answers:
                _logger.warning("%s", error)
            return False
        return True

    async def _drop(self) -> None:
        clients, self._clients = self._clients, None
        answers, self._answers = self._answers, False
        if clients is not None:
            await clients.close(politely=answers)

    async def _replace(self) -> None:
        while self._clients is None:
            try:
                self._clients = await self._connect()
                self._answers = True
            except (BusError, ConfigError) as error:
                _logger.warning("Kafka is still away: %s", error)
                await asyncio.sleep(REPLACE_RETRY)

    async def _refresh(self) -> None:
        """Ask the brokers for their metadata."""
        client = self.clients.producer.client
        if not await client.force_metadata_update():
            raise BusError("Kafka's brokers do not answer")
        if not client.cluster.partitions_for_topic(self._topic):
            raise UnknownTopicOrPartitionError(self._topic)


def message_of(record: Any) -> BusMessage | None:
    """Return what a record carries, or None (logged) where it is not ours: anybody may write to a topic."""
    headers = dict(record.headers)
    try:
        return BusMessage(
            key=record.key or b"",
            value=_bytes(record.value),
            correlation_id=headers[_CORRELATION].decode(),
            partition=_number(headers[_REPLY_PARTITION]),
        )
    except (KeyError, ValueError, AttributeError) as error:
        _logger.warning("%s[%d]@%d is no message: %r", record.topic, record.partition, record.offset, error)
        return None


def _bytes(value: bytes | None) -> bytes:
    if value is None:
        raise ValueError("no value")
    return value


def _number(header: bytes) -> int:
    if not header.isdigit() or len(header) > 9:
        raise ValueError("not a partition")
    return int(header)
