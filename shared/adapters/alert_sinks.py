"""Where alerts go: a JSON-lines file and a Kafka topic, both as OCSF events."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaProducer

from shared.adapters.durable import sync_folder
from shared.adapters.kafka.calls import bounded, closed
from shared.adapters.kafka.settings import producer_settings
from shared.adapters.kafka.topics import Topics, ensure_topics
from shared.config import Settings
from shared.core.alert_format import to_ocsf
from shared.errors import BusError, ConfigError
from shared.ports import AlertSink
from shared.types import Alert

DELIVERY_TIMEOUT: Final = 10.0
"""Seconds for one batch: aiokafka's send and stop can hang for ever while brokers are down (aiokafka issue 1101)."""
CLOSE_TIMEOUT: Final = 1.0
_WHAT: Final = "the alerts' Kafka producer"


class JsonlSink:
    """Append to a file, one event a line; opened anew for each batch, so that it can be rotated by renaming."""

    name = "jsonl"

    def __init__(self, path: Path) -> None:
        self._path = path
        # A delivery that is cancelled goes on in its thread: the next one must not write between its lines.
        self._writing = threading.Lock()

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Write all and flush to disk before returning."""
        lines = "".join(json.dumps(to_ocsf(alert), separators=(",", ":")) + "\n" for alert in alerts)
        await asyncio.to_thread(self._append, lines.encode())

    def _append(self, lines: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._writing, self._path.open("a+b") as file:
            new = file.tell() == 0
            # A process killed in the middle of a write leaves half a line: close it, the event is written again.
            if file.seek(0, os.SEEK_END) and _last_byte(file.fileno()) != b"\n":
                lines = b"\n" + lines
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
            if new:
                sync_folder(self._path.parent)

    async def stop(self) -> None:
        """Nothing is held between batches."""


def _last_byte(descriptor: int) -> bytes:
    return os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1)


class KafkaSink:
    """Send to the topic of alerts, keyed by incident, acknowledged by all in-sync replicas."""

    name = "kafka"

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError where Kafka is not configured, or not rightly."""
        if not settings.bus.startswith("kafka://"):
            raise ConfigError("alerts.sinks: the sink kafka needs a bus kafka://…")
        self._settings = settings
        self._topic = Topics.of(settings.tenant).alerts
        # An alert waits for every replica.  Without idempotence, which would retry for ever: a producer whose brokers
        # are away could not even be closed.  An alert that arrives twice is told by its incident.
        self._options = {**producer_settings(settings), "acks": "all", "enable_idempotence": False}
        self._producer: AIOKafkaProducer | None = None

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send all and wait for the acknowledgements; raises BusError within the bound."""
        try:
            await bounded(self._send(alerts), DELIVERY_TIMEOUT, "Kafka did not take alerts")
        except BusError:
            await self.stop()
            raise

    async def _send(self, alerts: Sequence[Alert]) -> None:
        producer = await self._connected()
        sent = [
            await producer.send(self._topic, json.dumps(to_ocsf(alert)).encode(), key=alert.incident.encode())
            for alert in alerts
        ]
        await asyncio.gather(*sent)

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            await ensure_topics(self._settings)
            producer = AIOKafkaProducer(**self._options)
            try:
                await producer.start()
            except BaseException:
                await closed(producer.stop(), CLOSE_TIMEOUT, _WHAT)
                raise
            self._producer = producer
        return self._producer

    async def stop(self) -> None:
        """Close within ``CLOSE_TIMEOUT``; what was not acknowledged is delivered again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await closed(producer.stop(), CLOSE_TIMEOUT, _WHAT)


_SINKS: Final[Mapping[str, Callable[[Settings], AlertSink]]] = {
    "jsonl": lambda settings: JsonlSink(settings.data_dir / "alerts.jsonl"),
    "kafka": KafkaSink,
}


def open_sinks(settings: Settings) -> tuple[AlertSink, ...]:
    """Return the sinks of the configuration, each once; raises ConfigError."""
    return tuple(_SINKS[name](settings) for name in dict.fromkeys(settings.alert_sinks))
