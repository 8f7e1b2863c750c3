"""Who may write to a shared Redis can copy one tenant's entries to another's names: they are refused and counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.adapters.opening import open_sealer, open_store
from shared.adapters.role import SystemClock
from shared.config import SecretsSettings, Settings
from shared.errors import IntegrityError
from shared.ports import Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from tests.classifier_factories import make_classifier
from tests.index_factories import CALIBRATION, ENCODER, added, make_set
from workers.classifying.labelling import ClassifierAnswers
from workers.classifying.model import unpack
from workers.classifying.replica import ClassifierReplica
from workers.classifying.revisions import ClassifierBook
from workers.index.log import IndexLog
from workers.index.replica import IndexReplica

pytestmark = [pytest.mark.redis]
CLASSIFIER = make_classifier("receipt", name="papers")


class Tenant:
    """A tenant's store and keys, opened from its configuration as every role does; all share one secret."""

    def __init__(self, name: str, redis_url: str, folder: Path) -> None:
        self.name = name
        settings = Settings(
            tenant=name,
            store=redis_url,
            data_dir=folder / name,
            secrets=SecretsSettings(key_file=folder / "secret.key"),
        )
        self.store: Store = open_store(settings)
        self.sealer: Sealer = open_sealer(settings)
        self.metrics = Metrics()

    def replica(self) -> IndexReplica:
        return IndexReplica(self.store, self.sealer, ENCODER, CALIBRATION, self.metrics)

    async def protect(self, *seeds: int) -> None:
        await IndexLog(self.store, self.sealer).append(make_set(), *(added(seed) for seed in seeds))


@pytest.fixture
async def tenants(redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[Tenant, Tenant]]:
    acme, zeta = (Tenant(name, redis_url, tmp_path) for name in ("acme", "zeta"))
    for tenant in (acme, zeta):
        await tenant.store.start()
    yield acme, zeta
    for tenant in (acme, zeta):
        await tenant.store.stop()


async def copy(redis_url: str, source: Tenant, target: Tenant, pattern: str) -> int:
    """Copy what one tenant has, byte for byte, to the other's names; return how much that was."""
    client = Redis.from_url(redis_url)
    found: Any = await client.keys(f"safelight:*:@{source.name}/{pattern}")
    for key in found:
        await client.copy(key, key.replace(f"@{source.name}/".encode(), f"@{target.name}/".encode()), replace=True)
    await client.aclose()
    return len(found)


async def test_a_copied_log_is_refused_and_counted(tenants: tuple[Tenant, Tenant], redis_url: str) -> None:
    acme, zeta = tenants
    await acme.protect(1, 2)
    assert await copy(redis_url, acme, zeta, "index*") == 2  # the log and its counter
    with pytest.raises(IntegrityError, match="key_file"):
        await zeta.replica().load()
    assert zeta.metrics.value("safelight_index_rejected_entries_total", cause="key") == 3
    await zeta.protect(7)
    view = await zeta.replica().catch_up()
    assert view.sets["designs"].size == 1, "its own"
    assert (await acme.replica().catch_up()).sets["designs"].size == 2


async def test_a_copied_snapshot_is_refused_and_counted(tenants: tuple[Tenant, Tenant], redis_url: str) -> None:
    acme, zeta = tenants
    await acme.protect(1, 2)
    replica = acme.replica()
    await replica.load()
    assert await IndexLog(acme.store, acme.sealer).publish(await replica.rebuild(), None, 1.0)
    assert (await acme.replica().catch_up()).sets["designs"].size == 2
    assert await copy(redis_url, acme, zeta, "index*") > 4  # pointer, header, parts
    with pytest.raises(IntegrityError):
        await zeta.replica().load()
    assert zeta.metrics.value("safelight_index_rejected_entries_total", cause="snapshot") == 1


@pytest.mark.error_logs("entries of the classifiers. log do not open")
async def test_a_copied_classifier_is_refused_and_counted(tenants: tuple[Tenant, Tenant], redis_url: str) -> None:
    acme, zeta = tenants

    async def answering(tenant: Tenant) -> set[str]:
        loaders = {"classifier": lambda _, data: ClassifierAnswers(unpack(data))}
        replica = ClassifierReplica(tenant.store, tenant.sealer, loaders, tenant.metrics)
        await replica.load()
        return set(replica.current().by_name)

    for tenant in tenants:
        book = ClassifierBook(tenant.store, tenant.sealer, SystemClock())
        await book.publish("papers", CLASSIFIER, 0, "first")
    assert await answering(zeta) == {"papers"}
    await copy(redis_url, acme, zeta, "classifiers*")
    assert await answering(zeta) == set()
    assert zeta.metrics.value("safelight_classifiers_refused_total") > 0
    assert await answering(acme) == {"papers"}
