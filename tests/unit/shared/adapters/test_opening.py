"""Settings choose the adapters; a role on its own needs a hub or Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.adapters.kafka.bus import KafkaAnsweringBus, KafkaAskingBus
from shared.adapters.local.bus import LocalAnsweringBus, LocalAskingBus
from shared.adapters.opening import (
    open_answering_bus,
    open_asking_bus,
    open_sealer,
    open_store,
    sign_off_dead_workers,
)
from shared.adapters.redis.store import RedisStore
from shared.adapters.sqlite.store import SqliteStore
from shared.adapters.tenant_store import TenantStore
from shared.config import Settings
from shared.errors import ConfigError, IntegrityError


def test_settings_choose_the_adapters(tmp_path: Path) -> None:
    local = Settings(data_dir=tmp_path, store=f"sqlite:///{tmp_path}/safelight.db")
    assert isinstance(open_store(local), SqliteStore)
    assert isinstance(open_asking_bus(local), LocalAskingBus)
    assert isinstance(open_answering_bus(local), LocalAnsweringBus)
    scaled = Settings(bus="kafka://broker:9092", store="redis://redis:6379/0")
    assert isinstance(open_store(scaled), RedisStore)
    assert isinstance(open_asking_bus(scaled), KafkaAskingBus)
    assert isinstance(open_answering_bus(scaled), KafkaAnsweringBus)


def test_a_tenant_has_a_part_of_the_store_and_keys_of_its_own(tmp_path: Path) -> None:
    local = Settings(data_dir=tmp_path, store=f"sqlite:///{tmp_path}/safelight.db")
    acme = local.model_copy(update={"tenant": "acme"})
    assert isinstance(open_store(acme), TenantStore)
    sealed = open_sealer(acme).seal(b"picture", "here")
    assert open_sealer(acme).open(sealed, "here") == b"picture"
    with pytest.raises(IntegrityError):
        open_sealer(local).open(sealed, "here")


async def test_a_role_on_its_own_without_a_hub_is_told_so(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(ConfigError, match="safelight up"):
        await open_asking_bus(settings).start(0)
    with pytest.raises(ConfigError, match="safelight up"):
        await open_answering_bus(settings).start()


async def test_a_worker_starts_though_nobody_can_be_told_of_the_dead(caplog: pytest.LogCaptureFixture) -> None:
    await sign_off_dead_workers(Settings())
    assert caplog.messages == []
    await sign_off_dead_workers(Settings(bus="kafka://127.0.0.1:9"))
    (said,) = caplog.messages
    assert "given out when their sessions end" in said
