"""Clients end with all that runs for them; how they do over a frozen broker is in the bus's contract."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.adapters.kafka.clients import Clients
from shared.adapters.kafka.settings import consumer_settings, producer_settings
from shared.config import Settings
from shared.errors import BusTimeoutError

SETTINGS = Settings(bus="kafka://127.0.0.1:9")


@pytest.mark.parametrize("politely", [True, False])
async def test_clients_that_never_started_close(politely: bool) -> None:
    clients = Clients(AIOKafkaProducer(**producer_settings(SETTINGS)), AIOKafkaConsumer(**consumer_settings(SETTINGS)))
    await clients.close(politely=politely)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cutting_ends_calls_under_way_and_no_others() -> None:
    clients = Clients(AIOKafkaProducer(**producer_settings(SETTINGS)), AIOKafkaConsumer(**consumer_settings(SETTINGS)))
    began = asyncio.Event()

    async def call() -> None:
        began.set()
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    calling = loop.create_task(clients.bounded(call(), 60, "it failed"))
    bystander = loop.create_task(asyncio.Event().wait())
    await began.wait()
    await clients.close(politely=False)
    with pytest.raises(BusTimeoutError):
        await calling
    assert not bystander.done()
    bystander.cancel()
