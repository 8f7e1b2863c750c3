"""Every name that reaches the shared store is the tenant's, and every answer is the shared store's."""

from __future__ import annotations

import pytest

from shared.adapters.tenant_store import TenantStore
from shared.errors import StoreError
from tests.memory_store import MemoryStore


async def test_every_kind_of_name_is_the_tenant_s_own() -> None:
    shared = MemoryStore()
    store = TenantStore(shared, "acme")
    assert await store.compare_and_set("key", None, b"1", ttl=5) == 1
    await store.put_blob("blob", b"data", ttl=5)
    assert await store.append("log", [b"a", b"b"]) == 2
    assert (set(shared.keys), set(shared.blobs), set(shared.logs)) == ({"@acme/key"}, {"@acme/blob"}, {"@acme/log"})


async def test_what_was_written_is_read_and_deleted_under_the_same_name() -> None:
    store = TenantStore(MemoryStore(), "acme")
    await store.compare_and_set("key", None, b"1")
    held = await store.get("key")
    assert held is not None
    assert (held.value, held.version) == (b"1", 1)
    assert not await store.delete("key", expected=7)
    assert await store.delete("key", expected=1)
    await store.put_blob("blob", b"data")
    taken: list[tuple[int, bytes]] = []
    assert await store.read_blobs(["blob"], 4, lambda place, data: taken.append((place, bytes(data))))
    assert taken == [(0, b"data")]
    assert await store.get_blob("blob") == b"data"
    await store.delete_blob("blob")
    assert await store.get_blob("blob") is None
    await store.append("log", [b"a", b"b", b"c"])
    await store.truncate("log", 1)
    assert [entry.value for entry in await store.read("log", 0, 1)] == [b"b"]
    assert await store.last_position("log") == 3
    assert await store.wait("log", 2, 60)
    assert not await store.wait("log", 3, 0.01)


async def test_it_starts_where_the_shared_store_does() -> None:
    shared = MemoryStore()
    store = TenantStore(shared, "acme")
    await store.start()
    await store.stop()
    shared.down = True
    with pytest.raises(StoreError):
        await store.start()
