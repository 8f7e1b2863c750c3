"""The embedded store: the contract, and what only several processes on one file can show."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.adapters.sqlite.store import SqliteStore
from shared.adapters.tenant_store import TenantStore
from shared.errors import StoreError
from tests.contracts.lease_contract import LeaseContract
from tests.contracts.store_contract import StoreContract
from tests.contracts.tenant_contract import TenantContract, Tenants

APPENDER = """
import asyncio, sys
from pathlib import Path
from shared.adapters.sqlite.store import SqliteStore

async def main(folder):
    store = SqliteStore(folder / "safelight.db", folder / "spool")
    await store.start()
    for number in range(40):
        print(await store.append("log", [b"child %d" % number]), flush=True)
    await store.compare_and_set("done", None, b"yes")
    await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1])))
"""


async def open_store(folder: Path) -> SqliteStore:
    store = SqliteStore(folder / "safelight.db", folder / "spool")
    await store.start()
    return store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_store(tmp_path)
    yield store
    await store.stop()


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_store(tmp_path)
    yield store
    await store.stop()


class TestTenantsOfOneFile(TenantContract):
    @pytest.fixture
    async def tenants(self, tmp_path: Path) -> AsyncIterator[Tenants]:
        stores = [await open_store(tmp_path) for _ in range(3)]
        yield TenantStore(stores[0], "acme"), TenantStore(stores[1], "zeta"), stores[2]
        for store in stores:
            await store.stop()


class TestSqliteLease(LeaseContract):
    """Over SQLite."""


class TestSqliteStore(StoreContract):
    async def test_another_process_appends_at_the_same_time_and_its_death_loses_nothing(
        self, store: SqliteStore, tmp_path: Path
    ) -> None:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", APPENDER, str(tmp_path), stdout=subprocess.PIPE
        )
        try:
            mine = []
            while await store.get("done") is None:
                mine.append(await store.append("log", [b"parent"]))
                await asyncio.sleep(0.005)
        finally:
            child.kill()
            said, _ = await child.communicate()
        theirs = [int(line) for line in said.split()]
        assert len(theirs) == 40
        assert sorted(mine + theirs) == list(range(1, len(mine) + 41))
        entries = {entry.position: entry.value for entry in await store.read("log", 0, 10_000)}
        assert [entries[position] for position in theirs] == [b"child %d" % number for number in range(40)]

    async def test_several_can_open_a_new_store_at_once(self, tmp_path: Path) -> None:
        stores = await asyncio.gather(*(open_store(tmp_path / "new") for _ in range(6)))
        await asyncio.gather(*(store.append("log", [b"x"]) for store in stores))
        assert await stores[0].last_position("log") == 6
        for store in stores:
            await store.stop()

    async def test_expired_blobs_leave_the_disk(self, store: SqliteStore, tmp_path: Path) -> None:
        await store.put_blob("claim", b"image", ttl=0.05)
        await store.put_blob("kept", b"snapshot")
        await store.put_blob("kept", b"snapshot 2")
        await asyncio.sleep(0.1)
        await store.sweep()
        files = [path.read_bytes() for path in (tmp_path / "spool").iterdir()]
        assert files == [b"snapshot 2"]

    async def test_a_file_that_is_no_database_is_a_store_error(self, tmp_path: Path) -> None:
        (tmp_path / "safelight.db").write_bytes(b"not a database at all" * 100)
        store = SqliteStore(tmp_path / "safelight.db", tmp_path / "spool")
        with pytest.raises(StoreError):
            await store.start()
        await store.stop()

    async def test_calls_after_stop_are_store_errors(self, store: SqliteStore) -> None:
        await store.stop()
        with pytest.raises(StoreError):
            await store.get("key")
