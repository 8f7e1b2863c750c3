"""From settings to adapters: the only place that knows which ones there are."""

from __future__ import annotations

from shared.adapters.kafka_bus import KafkaAnsweringBus, KafkaAskingBus
from shared.adapters.local_bus import LocalAnsweringBus, LocalAskingBus
from shared.adapters.local_hub import hub_socket_path
from shared.adapters.redis_store import RedisStore
from shared.adapters.sqlite_store import SqliteStore
from shared.config import Settings
from shared.ports import AnsweringBus, AskingBus, Store


def open_store(settings: Settings) -> Store:
    """Return the configured store, not started."""
    if settings.sqlite_path is not None:
        return SqliteStore(settings.sqlite_path, settings.data_dir / "spool")
    return RedisStore(settings.store)


def open_asking_bus(settings: Settings) -> AskingBus:
    """Return a proxy's end of the configured bus, not started; ``start`` raises ConfigError where a hub is missing."""
    if settings.bus == "local://":
        return LocalAskingBus(hub_socket_path(settings.data_dir))
    return KafkaAskingBus(settings)


def open_answering_bus(settings: Settings) -> AnsweringBus:
    """Return a worker's end of the configured bus, not started; ``start`` raises ConfigError where a hub is missing."""
    if settings.bus == "local://":
        return LocalAnsweringBus(hub_socket_path(settings.data_dir))
    return KafkaAnsweringBus(settings)
