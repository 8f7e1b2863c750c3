"""The servers of the test suite keep what they acknowledged through kill -9, on the same port."""

import asyncio

import pytest
import redis.asyncio as redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.servers import KafkaBroker, RedisServer

TOPIC = "kept"


async def produce(bootstrap: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    async with asyncio.timeout(30):
        await producer.start()
        await producer.send_and_wait(TOPIC, value)
        await producer.stop()


async def consume(bootstrap: str) -> bytes:
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with asyncio.timeout(30):
        await consumer.start()
        record = await consumer.getone()
        await consumer.stop()
    assert isinstance(record.value, bytes)
    return record.value


@pytest.mark.kafka
async def test_broker_keeps_a_record_through_kill(killable_kafka: KafkaBroker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=killable_kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    await admin.close()
    await produce(killable_kafka.bootstrap, b"before")
    port = killable_kafka.port
    killable_kafka.kill()
    assert killable_kafka.pid is None
    killable_kafka.restart()
    assert killable_kafka.port == port
    assert await consume(killable_kafka.bootstrap) == b"before"


@pytest.mark.redis
async def test_redis_keeps_a_key_through_kill(killable_redis: RedisServer) -> None:
    async with redis.from_url(killable_redis.url) as client:
        await client.set("kept", b"before")
    killable_redis.kill()
    killable_redis.restart()
    async with redis.from_url(killable_redis.url) as client:
        assert await client.get("kept") == b"before"
        info = await client.info("persistence")
    assert info["aof_enabled"] == 1


@pytest.mark.kafka
@pytest.mark.redis
def test_session_servers_run(kafka_broker: KafkaBroker, redis_server: RedisServer, redis_url: str) -> None:
    assert kafka_broker.pid is not None
    assert redis_server.pid is not None
    assert redis_url == redis_server.url
