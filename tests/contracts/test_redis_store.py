"""Redis: the contract over a real server, and its death."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.adapters.redis.store import RedisStore
from shared.adapters.tenant_store import TenantStore
from shared.errors import ConfigError, StoreError
from tests.contracts.lease_contract import LeaseContract
from tests.contracts.store_contract import StoreContract
from tests.contracts.tenant_contract import TenantContract, Tenants
from tests.servers import RedisServer

pytestmark = [pytest.mark.redis]
BOUND = 8.0  # two seconds, and a busy machine; told from a wait of 30


async def open_store(url: str) -> RedisStore:
    store = RedisStore(url)
    await store.start()
    return store


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    store = await open_store(redis_url)
    yield store
    await store.stop()


@pytest.fixture
async def other(redis_url: str) -> AsyncIterator[RedisStore]:
    store = await open_store(redis_url)
    yield store
    await store.stop()


async def fails_in_time(store: RedisStore) -> None:
    began = time.monotonic()
    calls = (
        store.get("key"),
        store.compare_and_set("key", None, b"x"),
        store.append("log", [b"x"]),
        store.put_blob("blob", b"x"),
        store.get_blob("blob"),
        store.read_blobs(["blob"], 1, lambda *_: None),
        store.wait("log", 10**6, 30),
    )
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [StoreError] * len(calls)
    assert time.monotonic() - began < BOUND


class TestTenantsOfOneRedis(TenantContract):
    @pytest.fixture
    async def tenants(self, redis_url: str) -> AsyncIterator[Tenants]:
        stores = [await open_store(redis_url) for _ in range(3)]
        yield TenantStore(stores[0], "acme"), TenantStore(stores[1], "zeta"), stores[2]
        for store in stores:
            await store.stop()

    async def test_redis_itself_can_keep_a_tenant_to_its_own_keys(self, redis_url: str) -> None:
        """As README says: the tenant's part is one pattern of Redis's access control lists."""
        admin = Redis.from_url(redis_url)
        await admin.acl_setuser(
            "acme", enabled=True, passwords=["+pw"], keys=["safelight:*:@acme/*"], categories=["+@all"]
        )
        shared = await open_store(redis_url.replace("redis://", "redis://acme:pw@"))
        own, other = TenantStore(shared, "acme"), TenantStore(shared, "zeta")
        try:
            await own.compare_and_set("key", None, b"x")
            await own.put_blob("blob", b"x" * (1 << 20))
            assert await own.get_blob("blob") == b"x" * (1 << 20)
            await own.append("log", [b"x"])
            assert await own.wait("log", 0, 60)
            for call in (other.get("key"), other.put_blob("blob", b"x"), other.append("log", [b"x"])):
                with pytest.raises(StoreError, match="perm"):
                    await call
        finally:
            await shared.stop()
            await admin.acl_deluser("acme")
            await admin.aclose()


class TestRedisLease(LeaseContract):
    """Over Redis."""


class TestRedisStore(StoreContract):
    # A connection whose command was cancelled in flight gave its answer to the next caller (redis-py#2665).
    cancellations = 10_000

    async def test_a_killed_server_is_an_error_in_time_and_loses_nothing(self, killable_redis: RedisServer) -> None:
        store = await open_store(killable_redis.url)
        await store.compare_and_set("key", None, b"kept")
        await store.append("log", [b"a", b"b"])
        await store.put_blob("blob", b"x" * (1 << 20))
        waiting = asyncio.get_running_loop().create_task(store.wait("log", 2, 30))
        await asyncio.sleep(0.1)
        killable_redis.kill()
        began = time.monotonic()
        with pytest.raises(StoreError):
            await waiting
        assert time.monotonic() - began < BOUND
        await fails_in_time(store)
        await asyncio.to_thread(killable_redis.start)
        value = await store.get("key")
        assert value is not None
        assert value.value == b"kept"
        assert await store.append("log", [b"c"]) == 3
        assert await store.get_blob("blob") == b"x" * (1 << 20)
        await store.stop()

    async def test_a_frozen_server_is_an_error_in_time(self, killable_redis: RedisServer) -> None:
        store = await open_store(killable_redis.url)
        await store.compare_and_set("key", None, b"1")
        assert killable_redis.pid is not None
        os.kill(killable_redis.pid, signal.SIGSTOP)
        try:
            await fails_in_time(store)
            stopping = RedisStore(killable_redis.url)
            with pytest.raises(StoreError):
                await stopping.start()
            await stopping.stop()
        finally:
            os.kill(killable_redis.pid, signal.SIGCONT)
        value = await store.get("key")
        assert value is not None
        assert value.value == b"1"
        await store.stop()

    async def test_no_server_is_a_store_error(self) -> None:
        store = RedisStore("redis://127.0.0.1:9/0")
        with pytest.raises(StoreError):
            await store.start()
        await store.stop()

    async def test_an_address_that_is_none_is_a_configuration_error(self) -> None:
        with pytest.raises(ConfigError, match="store"):
            RedisStore("redis://127.0.0.1:port/0")

    async def test_a_server_without_aof_is_warned_about(
        self, killable_redis: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        admin = Redis.from_url(killable_redis.url)
        with caplog.at_level(logging.WARNING):
            await (await open_store(killable_redis.url)).stop()
            assert "APPEND-ONLY" not in caplog.text
            await admin.config_set("appendonly", "no")
            await (await open_store(killable_redis.url)).stop()
            assert "REDIS KEEPS NO APPEND-ONLY FILE" in caplog.text
            await admin.acl_setuser(
                "app", enabled=True, passwords=["+pw"], keys=["*"], categories=["+@all"], commands=["-config", "-info"]
            )
            url = killable_redis.url.replace("redis://", "redis://app:pw@")
            await (await open_store(url)).stop()
            assert "could not be checked" in caplog.text
        await admin.aclose()

    async def test_what_is_gone_leaves_nothing_behind(self, store: RedisStore, redis_url: str) -> None:
        client = Redis.from_url(redis_url)
        await store.put_blob("claim", b"x" * (1 << 20), ttl=0.2)
        await store.put_blob("gone", b"x" * (1 << 20))
        await store.delete_blob("gone")
        await asyncio.sleep(0.3)
        assert await client.keys("*") == []
        await store.put_blob("kept", b"1")
        await store.put_blob("kept", b"2")
        assert len(await client.keys("*chunk*")) == 2
        assert min([await client.ttl(key) for key in await client.keys("*chunk*")]) == -1
        await client.aclose()
