"""What a lease does over every store: inherit next to ``StoreContract``."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import time

import msgspec
import pytest

from shared.adapters.lease import Holder, Lease, this_process
from shared.errors import LeaseHeldError
from shared.ports import Store

TTL = 1.2  # renewed each third of it, on a machine that does other things as well
AT_ONCE = 10.0  # told from a wait for LONG
LONG = 60.0


def elsewhere() -> Holder:
    """Return a holder on another machine: nobody here can see whether it lives."""
    return dataclasses.replace(this_process(), boot="another boot", host="elsewhere")


class LeaseContract:
    """Each test runs on an empty store."""

    async def test_a_second_holder_on_this_machine_is_refused_at_once_and_told_by_whom(
        self, store: Store, other: Store
    ) -> None:
        first, second = Lease(store, "proxy/0", LONG), Lease(other, "proxy/0", LONG)
        await first.acquire()
        began = time.monotonic()
        with pytest.raises(LeaseHeldError, match=f"proxy/0 is held by process {this_process().pid} on"):
            await second.acquire()
        assert time.monotonic() - began < AT_ONCE
        assert first.held()
        assert not second.held()
        await first.release()
        await second.acquire()
        await second.release()

    async def test_a_holder_elsewhere_that_renews_is_found_out_by_it(self, store: Store, other: Store) -> None:
        first, second = Lease(store, "lease", TTL, holder=elsewhere()), Lease(other, "lease", TTL)
        await first.acquire()
        with pytest.raises(LeaseHeldError, match="elsewhere"):
            await second.acquire()
        assert first.held()
        await first.release()

    async def test_a_holder_elsewhere_that_died_is_waited_for(self, store: Store, other: Store) -> None:
        dead = elsewhere()
        await store.compare_and_set("lease", None, _encoded(dead), ttl=TTL)
        lease = Lease(other, "lease", TTL)
        began = time.monotonic()
        await lease.acquire()
        assert TTL / 2 < time.monotonic() - began < AT_ONCE
        await lease.release()

    async def test_a_dead_process_of_this_machine_is_taken_over_from_at_once(self, store: Store) -> None:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)  # noqa: ASYNC220
        mine = this_process()
        child.kill()
        child.communicate()
        for dead in (dataclasses.replace(mine, pid=child.pid), dataclasses.replace(mine, started=mine.started - 1)):
            await store.compare_and_set("lease", None, _encoded(dead), ttl=LONG)
            lease = Lease(store, "lease", LONG)
            began = time.monotonic()
            await lease.acquire()
            assert time.monotonic() - began < AT_ONCE
            await lease.release()

    async def test_it_is_renewed_past_its_time(self, store: Store, other: Store) -> None:
        lease = Lease(store, "lease", TTL)
        await lease.acquire()
        await asyncio.sleep(2 * TTL)
        assert lease.held()
        assert not lease.lost.is_set()
        assert await other.get("lease") is not None
        await lease.release()
        await lease.release()
        assert await other.get("lease") is None

    async def test_a_lease_that_expired_unseen_is_taken_again_where_nobody_else_did(self, store: Store) -> None:
        lease = Lease(store, "lease", TTL)
        await lease.acquire()
        await store.delete("lease")
        await asyncio.sleep(TTL)
        assert lease.held()
        assert not lease.lost.is_set()
        await lease.release()

    @pytest.mark.error_logs("is lost")
    async def test_a_lease_that_somebody_else_took_is_lost(self, store: Store, other: Store) -> None:
        lease = Lease(store, "lease", TTL)
        await lease.acquire()
        await other.delete("lease")
        await other.compare_and_set("lease", None, _encoded(elsewhere()), ttl=LONG)
        await asyncio.wait_for(lease.lost.wait(), AT_ONCE)
        assert not lease.held()
        await lease.release()
        assert await other.get("lease") is not None

    async def test_of_many_that_want_it_one_gets_it(self, store: Store, other: Store) -> None:
        leases = [Lease(client, "lease", LONG) for client in (store, other) * 5]
        results = await asyncio.gather(*(lease.acquire() for lease in leases), return_exceptions=True)
        assert sum(result is None for result in results) == 1
        assert sum(isinstance(result, LeaseHeldError) for result in results) == 9
        for lease in leases:
            await lease.release()


def _encoded(holder: Holder) -> bytes:
    return msgspec.json.encode(holder)
