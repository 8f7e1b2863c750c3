"""Kafka: the contract, over a real broker."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.adapters.kafka.bus import KafkaAnsweringBus, KafkaAskingBus
from shared.adapters.kafka.members import member_settings, sign_off_dead
from shared.adapters.kafka.settings import producer_settings
from shared.adapters.kafka.topics import VERDICTS_PARTITIONS, Topics, ensure_topics
from shared.config import Settings
from shared.errors import BusError, BusTimeoutError
from shared.ports import AnsweringBus, AskingBus
from shared.types import BusMessage
from tests.contracts.bus_contract import (
    BusContract,
    World,
    killed_with_a_request,
    next_reply,
    requests,
    until_true,
)
from tests.servers import KafkaBroker

TOPICS = Topics.of("")
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


class KafkaWorld(World):
    def __init__(self, broker: KafkaBroker, tenant: str = "") -> None:
        super().__init__()
        self.broker = broker
        self.settings = Settings(bus=broker.url, tenant=tenant)

    def new_asking(self) -> AskingBus:
        return KafkaAskingBus(self.settings)

    def new_answering(self) -> AnsweringBus:
        return KafkaAnsweringBus(self.settings)

    def worker_code(self) -> str:
        return (
            "from shared.config import Settings\nfrom shared.adapters.kafka.bus import KafkaAnsweringBus\n"
            f"bus = KafkaAnsweringBus(Settings(bus={self.settings.bus!r}, kafka={dict(self.settings.kafka)!r}))"
        )

    async def down(self) -> None:
        await asyncio.to_thread(self.broker.kill)

    async def up(self) -> None:
        await asyncio.to_thread(self.broker.restart)


@pytest.fixture
async def world(kafka_broker: KafkaBroker) -> AsyncIterator[KafkaWorld]:
    world = KafkaWorld(kafka_broker)
    yield world
    await world.exits.aclose()


class TestKafkaBus(BusContract):
    async def test_topics_are_made_with_their_retention_and_grow_with_the_instance(self, world: KafkaWorld) -> None:
        instance = VERDICTS_PARTITIONS + 3
        worker = await world.answering()
        asker = await world.asking(instance)
        message = world.message(instance=instance)
        await worker.reply(message)
        assert await next_reply(asker) == message
        admin = AIOKafkaAdminClient(bootstrap_servers=world.broker.bootstrap)
        await admin.start()
        try:
            (topic,) = await admin.describe_topics([TOPICS.verdicts])
            resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in (TOPICS.inspect, TOPICS.verdicts)]
            (response,) = await admin.describe_configs(resources)
        finally:
            await admin.close()
        assert len(topic["partitions"]) >= instance + 1
        for _, _, _, name, entries in response.resources:
            assert dict(entry[:2] for entry in entries)["retention.ms"] == "60000", name

    async def test_what_is_no_message_is_passed_over_and_committed(self, world: KafkaWorld) -> None:
        asker, worker = await world.asking(), await world.answering()
        stranger = AIOKafkaProducer(**producer_settings(world.settings))
        await stranger.start()
        key = b"one partition"
        for value, headers in (
            (b"no headers", []),
            (None, [("correlation-id", b"c"), ("reply-partition", b"0")]),
            (b"v", [("correlation-id", b"\xff"), ("reply-partition", b"0")]),
            (b"v", [("correlation-id", b"c"), ("reply-partition", b"-1")]),
            (b"v", [("correlation-id", b"c"), ("reply-partition", b"9" * 40)]),
        ):
            await stranger.send_and_wait(TOPICS.inspect, value, key=key, headers=headers)
        await stranger.stop()
        asked = world.message(key=key)
        await asker.ask(asked)
        (delivery,) = await requests(worker, [asked])
        await worker.commit([delivery])

    async def test_tenants_of_one_broker_see_nothing_of_each_other(self, kafka_broker: KafkaBroker) -> None:
        worlds = [KafkaWorld(kafka_broker, tenant) for tenant in ("acme", "zeta", "")]
        try:
            askers = [await world.asking() for world in worlds]
            workers = [await world.answering() for world in worlds]
            asked = [world.message(b"%d" % number) for number, world in enumerate(worlds)]
            for asker, message in zip(askers, asked, strict=True):
                await asker.ask(message)
            ids = {message.correlation_id for message in asked}
            for worker, message in zip(workers, asked, strict=True):
                taken: list[BusMessage] = []
                while not taken:
                    for delivery in await worker.receive(16, 1.0):
                        await worker.commit([delivery])
                        if delivery.message.correlation_id in ids:  # not another test's
                            taken.append(delivery.message)
                taken += [delivery.message for delivery in await worker.receive(16, 1.0)]
                assert taken == [message]
                await worker.reply(message)
            for asker, message in zip(askers, asked, strict=True):
                assert await next_reply(asker) == message
        finally:
            for world in worlds:
                await world.exits.aclose()

    async def test_the_heir_of_a_killed_worker_does_not_wait_for_its_session_to_end(self, world: KafkaWorld) -> None:
        # A minute's session, longer than a start may take: only who is signed off leaves its partitions sooner.
        own = {"group.id": f"heirs-{uuid.uuid4().hex}", "session.timeout.ms": "60000"}
        world.settings = Settings(bus=world.broker.url, kafka=own)
        asked = await killed_with_a_request(world)
        assert await sign_off_dead(world.settings) == 1
        heir = await world.answering()
        assert [delivery.message for delivery in await requests(heir, [asked])] == [asked]

    async def test_who_lives_is_not_signed_off(self, world: KafkaWorld) -> None:
        own = {"group.id": f"living-{uuid.uuid4().hex}"}
        world.settings = Settings(bus=world.broker.url, kafka=own)
        await world.answering()
        assert await sign_off_dead(world.settings) == 0

    async def test_a_membership_of_before_an_outage_is_signed_off(self, world: KafkaWorld) -> None:
        settings = Settings(bus=world.broker.url, kafka={"group.id": f"former-{uuid.uuid4().hex}"})
        await ensure_topics(settings)
        consumer = AIOKafkaConsumer(TOPICS.inspect, **member_settings(settings, "before"))
        await consumer.start()
        try:
            assert await sign_off_dead(settings) == 0
            assert await sign_off_dead(settings, "before") == 1
        finally:
            await consumer.stop()

    async def test_no_broker_at_start_is_a_timeout_error(self) -> None:
        settings = Settings(bus="kafka://127.0.0.1:9")
        for start in (KafkaAskingBus(settings).start(0), KafkaAnsweringBus(settings).start()):
            with pytest.raises(BusTimeoutError):
                await start

    async def test_a_frozen_broker_holds_nobody(self, killable_kafka: KafkaBroker) -> None:
        world = KafkaWorld(killable_kafka)
        asker, worker = await world.asking(), await world.answering()
        assert killable_kafka.pid is not None
        os.kill(killable_kafka.pid, signal.SIGSTOP)
        try:
            for _ in range(40):  # more than the sockets' buffers take: a graceful close would wait for them
                for call in (asker.ask(world.message(b"x" * 500_000)), worker.reply(world.message())):
                    began = time.monotonic()
                    with pytest.raises(BusError):
                        await call
                    assert time.monotonic() - began < 5  # a second, and a busy machine
            assert not asker.connected()
            began = time.monotonic()
            for start in (world.new_asking().start(1), world.new_answering().start()):
                with pytest.raises(BusTimeoutError):
                    await start
            assert await worker.receive(1, 0.2) == ()
            assert time.monotonic() - began < 60
            began = time.monotonic()
            await world.exits.aclose()
            assert time.monotonic() - began < 15
            assert asyncio.all_tasks() == {asyncio.current_task()}
            gc.collect()  # an unclosed client or socket would warn, and a warning is an error
        finally:
            os.kill(killable_kafka.pid, signal.SIGCONT)

    async def test_a_broker_that_comes_back_empty_gets_its_topics_again(self, killable_kafka: KafkaBroker) -> None:
        world = KafkaWorld(killable_kafka)
        asker, worker = await world.asking(), await world.answering()
        await world.down()
        shutil.rmtree(killable_kafka.folder)
        killable_kafka.folder.mkdir()
        await asyncio.to_thread(killable_kafka.start)
        await until_true(lambda: asker.connected() and worker.connected(), 60)
        asked = world.message()
        await asker.ask(asked)
        (delivery,) = await requests(worker, [asked])
        await worker.reply(delivery.message)
        assert await next_reply(asker) == asked
        await world.exits.aclose()
