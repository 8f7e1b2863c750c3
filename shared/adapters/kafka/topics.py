"""The topics, made before any other client starts.

A client that starts first would have the broker make them with its own defaults, and a consumer that waits for a
topic to appear can miss its first messages.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.adapters.kafka.calls import bounded, closed
from shared.adapters.kafka.settings import client_settings
from shared.config import Settings
from shared.errors import BusError

INSPECT_PARTITIONS: Final = 12  # workers that can share the load
VERDICTS_PARTITIONS: Final = 16  # one for each proxy; grows with the highest proxy.instance
ALERTS_PARTITIONS: Final = 1  # alerts keep their order
RETENTION_MS: Final = 60_000
REPLICAS: Final = 3  # or as many as there are brokers
TOPICS_TIMEOUT: Final = 10.0
CLOSE_TIMEOUT: Final = 1.0
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics' names."""

    inspect: str
    verdicts: str
    alerts: str

    @classmethod
    def of(cls, tenant: str) -> Topics:
        """Return ``safelight.inspect`` and so on, ``safelight.TENANT.inspect`` where the tenant has a name."""
        prefix = f"safelight.{tenant}" if tenant else "safelight"
        return cls(inspect=f"{prefix}.inspect", verdicts=f"{prefix}.verdicts", alerts=f"{prefix}.alerts")


@dataclass(frozen=True, slots=True)
class _Topic:
    name: str
    partitions: int
    # Segments roll as often as they expire: a broker deletes whole segments only.
    configs: tuple[tuple[str, str], ...] = (
        ("retention.ms", str(RETENTION_MS)),
        ("segment.ms", str(RETENTION_MS)),
        ("cleanup.policy", "delete"),
    )


async def ensure_topics(settings: Settings, *, instance: int = 0) -> None:
    """Make what is missing, and a reply partition for ``instance``; raises BusError within ``TOPICS_TIMEOUT``."""
    names = Topics.of(settings.tenant)
    wanted = (
        _Topic(names.inspect, INSPECT_PARTITIONS),
        _Topic(names.verdicts, max(VERDICTS_PARTITIONS, instance + 1)),
        _Topic(names.alerts, ALERTS_PARTITIONS, ()),
    )
    admin = AIOKafkaAdminClient(**client_settings(settings))
    try:
        await bounded(
            _make(admin, wanted, names.verdicts, instance), TOPICS_TIMEOUT, "Kafka's topics could not be made"
        )
    finally:
        await closed(admin.close(), CLOSE_TIMEOUT, "Kafka's admin client")


async def _make(admin: AIOKafkaAdminClient, wanted: tuple[_Topic, ...], verdicts: str, instance: int) -> None:
    await admin.start()
    existing = await _partitions(admin)
    missing = [topic for topic in wanted if topic.name not in existing]
    if missing:
        brokers = len((await admin.describe_cluster())["brokers"])
        replicas = min(REPLICAS, brokers)
        response = await admin.create_topics(
            [NewTopic(topic.name, topic.partitions, replicas, topic_configs=dict(topic.configs)) for topic in missing]
        )
        for name, code, *_ in response.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise BusError(f"topic {name} could not be made: {for_code(code).__name__}")
    elif instance >= len(existing[verdicts]):
        await admin.create_partitions({verdicts: NewPartitions(instance + 1)})
    await _wait_for_leaders(admin, {topic.name for topic in wanted}, verdicts, instance)


async def _wait_for_leaders(admin: AIOKafkaAdminClient, names: set[str], verdicts: str, instance: int) -> None:
    """Wait until every partition can be written to."""
    while True:
        topics = await _partitions(admin)
        leaders = [partition["leader"] for name in names & topics.keys() for partition in topics[name]]
        if names <= topics.keys() and instance < len(topics[verdicts]) and min(leaders) >= 0:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, list[dict[str, Any]]]:
    # All topics are described: asking for one by its name would make it where brokers create topics by themselves.
    return {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
