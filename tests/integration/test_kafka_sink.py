"""Alerts on a real broker: OCSF events keyed by incident, and a broker that dies costs time, not alerts."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from shared.adapters.alert_sinks import CLOSE_TIMEOUT, DELIVERY_TIMEOUT, KafkaSink
from shared.adapters.kafka.topics import Topics
from shared.config import Settings
from shared.core.alert_format import to_ocsf
from shared.errors import BusError
from tests.factories import make_alert
from tests.servers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
BOUND = DELIVERY_TIMEOUT + CLOSE_TIMEOUT + 10


async def consume(broker: KafkaBroker, count: int) -> list[ConsumerRecord[bytes, bytes]]:
    """Return the first ``count`` records of the topic."""
    consumer = AIOKafkaConsumer(Topics.of("").alerts, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    async with asyncio.timeout(60):
        await consumer.start()
        try:
            return [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()


@asynccontextmanager
async def a_sink(broker: KafkaBroker) -> AsyncIterator[KafkaSink]:
    sink = KafkaSink(Settings(bus=broker.url))
    try:
        yield sink
    finally:
        await sink.stop()


def incidents(records: list[ConsumerRecord[bytes, bytes]]) -> list[str]:
    return [(record.key or b"").decode() for record in records]


async def test_events_are_ocsf_keyed_by_incident_and_survive_the_brokers_death(killable_kafka: KafkaBroker) -> None:
    alerts = [make_alert(incident=f"incident-{number}") for number in range(3)]
    late = make_alert(incident="after")
    async with a_sink(killable_kafka) as sink:
        await sink.deliver(alerts)
        records = await consume(killable_kafka, 3)
        assert incidents(records) == [alert.incident for alert in alerts]
        assert [json.loads(record.value or b"") for record in records] == [to_ocsf(alert) for alert in alerts]

        await asyncio.to_thread(killable_kafka.kill)
        begin = time.monotonic()
        with pytest.raises(BusError):
            await sink.deliver([late])
        assert time.monotonic() - begin < BOUND

        await asyncio.to_thread(killable_kafka.start)
        await sink.deliver([late])
        assert incidents(await consume(killable_kafka, 4))[3] == "after"


async def test_a_broker_that_is_away_at_the_start_is_an_error_within_the_bound(killable_kafka: KafkaBroker) -> None:
    await asyncio.to_thread(killable_kafka.kill)
    async with a_sink(killable_kafka) as sink:
        begin = time.monotonic()
        with pytest.raises(BusError):
            await sink.deliver([make_alert()])
        assert time.monotonic() - begin < BOUND
        await asyncio.to_thread(killable_kafka.start)
        await sink.deliver([make_alert()])
    assert incidents(await consume(killable_kafka, 1)) == ["incident-1"]
