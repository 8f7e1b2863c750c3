"""From settings to adapters: the only place that knows which ones there are.

Kafka's and Redis's clients are imported only where they are used: together they take 0.6 s to import, which every
command of the embedded mode would pay.
"""

from __future__ import annotations

from shared.adapters.local.bus import LocalAnsweringBus, LocalAskingBus
from shared.adapters.local.hub import hub_socket_path
from shared.adapters.sqlite.store import SqliteStore
from shared.adapters.tenant_store import TenantStore
from shared.config import Settings
from shared.ports import AnsweringBus, AskingBus, Store
from shared.sealing import Sealer, load_or_create_key


def open_sealer(settings: Settings) -> Sealer:
    """Return the tenant's keys, of a secret that is made where there is none; raises ConfigError."""
    return Sealer(load_or_create_key(settings.key_file), settings.tenant)


def open_store(settings: Settings) -> Store:
    """Return the tenant's part of the configured store, not started."""
    store = _open_shared_store(settings)
    return TenantStore(store, settings.tenant) if settings.tenant else store


def _open_shared_store(settings: Settings) -> Store:
    if settings.sqlite_path is not None:
        return SqliteStore(settings.sqlite_path, settings.data_dir / "spool")
    from shared.adapters.redis.store import RedisStore  # noqa: PLC0415

    return RedisStore(settings.store)


def open_asking_bus(settings: Settings) -> AskingBus:
    """Return a proxy's end of the configured bus, not started; ``start`` raises ConfigError where a hub is missing."""
    if settings.bus == "local://":
        return LocalAskingBus(hub_socket_path(settings.data_dir))
    from shared.adapters.kafka.bus import KafkaAskingBus  # noqa: PLC0415

    return KafkaAskingBus(settings)


def open_answering_bus(settings: Settings) -> AnsweringBus:
    """Return a worker's end of the configured bus, not started; ``start`` raises ConfigError where a hub is missing."""
    if settings.bus == "local://":
        return LocalAnsweringBus(hub_socket_path(settings.data_dir))
    from shared.adapters.kafka.bus import KafkaAnsweringBus  # noqa: PLC0415

    return KafkaAnsweringBus(settings)


async def sign_off_dead_workers(settings: Settings) -> None:
    """Let workers that live have at once what a killed one of this machine was given; takes two seconds at most.

    The embedded bus needs no telling: its hub sees the connection go.
    """
    if settings.bus == "local://":
        return
    from shared.adapters.kafka.members import sign_off_dead  # noqa: PLC0415

    await sign_off_dead(settings)
