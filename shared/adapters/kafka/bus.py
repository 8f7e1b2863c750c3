"""The scale-out bus: request and reply over Kafka.

Requests are keyed by the image's SHA-256, so that the same image meets the same worker; workers are a consumer group.
Every proxy reads one partition of the replies, its instance number, by ``assign``: no group and so no rebalance
between a question and its answer.  Routing travels in plain headers, everything else in the sealed value.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition

from shared.adapters.inbox import Inbox
from shared.adapters.kafka.clients import Clients, open_clients
from shared.adapters.kafka.commits import Committer
from shared.adapters.kafka.link import KafkaLink, message_of
from shared.adapters.kafka.members import member_client_id, member_settings, sign_off_dead
from shared.adapters.kafka.offsets import OffsetTracker
from shared.adapters.kafka.settings import consumer_settings, producer_settings
from shared.adapters.kafka.topics import Topics, ensure_topics
from shared.config import Settings
from shared.errors import BusError
from shared.types import BusMessage, Delivery

COMMIT_TIMEOUT: Final = 2.0
READ_SECONDS: Final = 1.0
READ_GRACE: Final = 1.0
"""Seconds past its own limit after which a read is given up: during a rebalance aiokafka waits without one."""
RETRY_SECONDS: Final = 0.2
REPLIES: Final = 16_384  # replies held for an asker that does not read

_logger = logging.getLogger(__name__)


class KafkaAskingBus:
    """``AskingBus`` over Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = Topics.of(settings.tenant)
        self._instance = 0
        self._link = KafkaLink(self._connect, self._topics.inspect)
        self._replies: Inbox[BusMessage] = Inbox(REPLIES)
        self._reading: asyncio.Task[None] | None = None

    async def start(self, instance: int) -> None:
        """See the port; grows the reply topic where ``instance`` is past its last partition."""
        self._instance = instance
        await self._link.start()
        self._reading = asyncio.get_running_loop().create_task(self._read_for_ever())

    async def ask(self, message: BusMessage) -> None:
        """See the port; a request that timed out may still be delivered, and is then answered too late."""
        await self._link.send(self._topics.inspect, message)

    def replies(self) -> AsyncIterator[BusMessage]:
        """See the port."""
        return aiter(self._replies)

    def connected(self) -> bool:
        """See the port."""
        return self._link.answers()

    async def stop(self) -> None:
        """See the port."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await self._link.stop()
        self._replies.close()

    async def _connect(self) -> Clients:
        await ensure_topics(self._settings, instance=self._instance)
        producer = AIOKafkaProducer(**producer_settings(self._settings))
        consumer = AIOKafkaConsumer(**consumer_settings(self._settings))
        return await open_clients(producer, consumer, self._stand_at_end, (self._topics.inspect, self._topics.verdicts))

    async def _stand_at_end(self, consumer: AIOKafkaConsumer) -> None:
        partition = TopicPartition(self._topics.verdicts, self._instance)
        await consumer.start()
        consumer.assign([partition])
        if not await consumer.seek_to_end(partition):
            raise BusError(f"the end of {self._topics.verdicts}[{self._instance}] is not known")
        await consumer.position(partition)

    async def _read_for_ever(self) -> None:
        while True:
            try:
                for record in await _read(self._link, READ_SECONDS, None):
                    message = message_of(record)
                    if message is not None:
                        self._replies.put(message)
            except BusError as error:
                _logger.debug("no replies: %s", error)
                await asyncio.sleep(RETRY_SECONDS)


class KafkaAnsweringBus:
    """``AnsweringBus`` over Kafka: one member of the workers' group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client_id = member_client_id()
        self._was_member = False
        self._topics = Topics.of(settings.tenant)
        self._link = KafkaLink(self._connect, self._topics.inspect)
        self._offsets: OffsetTracker[int] = OffsetTracker()
        self._held: deque[Delivery] = deque()
        self._committer = Committer(self._offsets, self._send_positions)

    async def start(self) -> None:
        """See the port; waits for the group to be complete."""
        await self._link.start()

    async def receive(self, limit: int, timeout: float) -> tuple[Delivery, ...]:
        """See the port; while the brokers are away it returns nothing."""
        if limit > 0 and self._held:
            return tuple(self._held.popleft() for _ in range(min(limit, len(self._held))))
        try:
            records = await (_read(self._link, timeout, limit) if limit > 0 else self._pause())
        except BusError as error:
            _logger.debug("no requests: %s", error)
            await asyncio.sleep(min(timeout, RETRY_SECONDS))
            return ()
        deliveries = [delivery for record in records if (delivery := self._delivery(record)) is not None]
        if limit <= 0:  # of a partition that became this worker's after the others were paused
            self._held.extend(deliveries)
            deliveries.clear()
        return tuple(deliveries)

    async def _pause(self) -> list[Any]:
        """Poll without taking anything: a member that does not poll is put out of its group, whatever its heartbeat."""
        consumer = self._link.clients.consumer
        consumer.pause(*consumer.assignment())
        return await _read(self._link, 0.0, None)

    async def reply(self, message: BusMessage) -> None:
        """See the port; a reply to a partition that does not exist is dropped, for nobody can be waiting there."""
        if await self._link.knows_partition(self._topics.verdicts, message.partition):
            await self._link.send(self._topics.verdicts, message, message.partition)
        else:
            _logger.warning("a reply for the unknown partition %d was dropped", message.partition)

    async def commit(self, deliveries: Sequence[Delivery]) -> None:
        """See the port; it comes through a moment later, and what another worker was given meanwhile is left to it."""
        for delivery in deliveries:
            _, partition, offset = delivery.token
            self._offsets.done(partition, offset)
        if self._offsets.positions():
            self._committer.wake()

    async def _send_positions(self, positions: Mapping[int, int]) -> None:
        if not self._link.answers():
            raise BusError("Kafka's brokers do not answer")
        offsets = {TopicPartition(self._topics.inspect, partition): offset for partition, offset in positions.items()}
        clients = self._link.clients
        await clients.bounded(clients.consumer.commit(offsets), COMMIT_TIMEOUT, "Kafka did not take a commit")

    def connected(self) -> bool:
        """See the port; a worker past the number of partitions has none, and stays unready."""
        return self._link.answers() and bool(self._link.clients.consumer.assignment())

    async def stop(self) -> None:
        """See the port."""
        await self._committer.stop()
        await self._link.stop()

    async def _connect(self) -> Clients:
        await ensure_topics(self._settings)
        if self._was_member:
            await sign_off_dead(self._settings, self._client_id)
        self._was_member = True
        producer = AIOKafkaProducer(**producer_settings(self._settings))
        consumer = AIOKafkaConsumer(**member_settings(self._settings, self._client_id))
        return await open_clients(producer, consumer, self._join, (self._topics.inspect, self._topics.verdicts))

    async def _join(self, consumer: AIOKafkaConsumer) -> None:
        consumer.subscribe([self._topics.inspect], listener=_Revocation(self._offsets, self._held, self._committer))
        await consumer.start()

    def _delivery(self, record: Any) -> Delivery | None:
        self._offsets.delivered(record.partition, record.offset)
        message = message_of(record)
        if message is None:
            self._offsets.done(record.partition, record.offset)
            return None
        return Delivery(message=message, token=("kafka", record.partition, record.offset))


class _Revocation(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Partitions are given out anew: what was handed out of them is delivered again, to whoever has them then."""

    def __init__(self, offsets: OffsetTracker[int], held: deque[Delivery], committer: Committer) -> None:
        self._offsets = offsets
        self._held = held
        self._committer = committer

    async def on_partitions_revoked(self, revoked: Any) -> None:
        if revoked:
            await self._committer.flush()
        self._offsets.forget()
        self._held.clear()

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Nothing is known of them yet."""


async def _read(link: KafkaLink, timeout: float, limit: int | None) -> list[Any]:
    clients = link.clients
    if limit is not None:
        clients.consumer.resume(*clients.consumer.paused())
    call = clients.consumer.getmany(timeout_ms=round(timeout * 1000), max_records=limit)
    batches = await clients.bounded(call, timeout + READ_GRACE, "Kafka gave nothing to read")
    return [record for records in batches.values() for record in records]
