"""Where alerts go: a JSON-lines file and a Kafka topic, both as OCSF events."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.adapters.kafka_settings import client_settings
from shared.adapters.kafka_topics import ALERTS_TOPIC, ensure_topics
from shared.config import Settings
from shared.core.alert_format import to_ocsf
from shared.errors import BusError, BusTimeoutError
from shared.ports import AlertSink
from shared.types import Alert

DELIVERY_TIMEOUT: Final = 10.0
"""Seconds for one batch: aiokafka's send and stop can hang for ever while brokers are down (aiokafka issue 1101)."""


class JsonlSink:
    """Append to a file, one event a line; opened anew for each batch, so that it can be rotated by renaming."""

    name = "jsonl"

    def __init__(self, path: Path) -> None:
        self._path = path

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Write all and flush to disk before returning."""
        lines = "".join(json.dumps(to_ocsf(alert), separators=(",", ":")) + "\n" for alert in alerts)
        await asyncio.to_thread(self._append, lines.encode())

    def _append(self, lines: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as file:
            # A process killed in the middle of a write leaves half a line: close it, the event is written again.
            if file.seek(0, os.SEEK_END) and _last_byte(file.fileno()) != b"\n":
                lines = b"\n" + lines
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    async def stop(self) -> None:
        """Nothing is held between batches."""


def _last_byte(descriptor: int) -> bytes:
    return os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1)


class KafkaSink:
    """Send to ``safelight.alerts``, keyed by incident, acknowledged by all in-sync replicas."""

    name = "kafka"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send all and wait for the acknowledgements; raises BusError within the bound."""
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT):
                producer = await self._connected()
                sent = [
                    await producer.send(ALERTS_TOPIC, json.dumps(to_ocsf(alert)).encode(), key=alert.incident.encode())
                    for alert in alerts
                ]
                await asyncio.gather(*sent)
        except TimeoutError as error:
            await self.stop()
            raise BusTimeoutError(f"Kafka did not take alerts within {DELIVERY_TIMEOUT:.0f} s") from error
        except KafkaError as error:
            await self.stop()
            raise BusError(f"Kafka refused alerts: {error}") from error

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            await ensure_topics(self._settings)
            producer = AIOKafkaProducer(**client_settings(self._settings), acks="all", enable_idempotence=True)
            await producer.start()
            self._producer = producer
        return self._producer

    async def stop(self) -> None:
        """Close within the bound."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), DELIVERY_TIMEOUT)
            except (TimeoutError, KafkaError):
                return  # the brokers are gone; what was not acknowledged is delivered again


def open_sinks(settings: Settings) -> tuple[AlertSink, ...]:
    """Return the sinks of the configuration."""
    known: dict[str, AlertSink] = {"jsonl": JsonlSink(settings.data_dir / "alerts.jsonl"), "kafka": KafkaSink(settings)}
    return tuple(known[name] for name in settings.alert_sinks)
