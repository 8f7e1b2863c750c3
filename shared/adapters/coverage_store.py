"""Coverage records in the store: written by proxies, read by reports; encrypted, since they name the hosts visited."""

from __future__ import annotations

import json
from typing import Final

from shared.core.coverage import (
    INSTANCES_KEY,
    KEPT_SECONDS,
    Record,
    Table,
    decode_record,
    encode_record,
    record_key,
)
from shared.errors import IntegrityError, StoreError, WireError
from shared.ports import Store
from shared.sealing import Sealer

_ATTEMPTS: Final = 5


class CoverageStore:
    """The records of all proxies."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def write(self, instance: int, hour: int, run: str, now: Table) -> None:
        """Replace what this run of a proxy has said of an hour; what earlier runs said stays.  Raises StoreError."""
        key = record_key(hour, instance)
        for _ in range(_ATTEMPTS):
            stored = await self._store.get(key)
            before = self._open(key, stored.value) if stored else None
            record = before.succeeded_by(run, now) if before else Record(run=run, now=now)
            value = self._sealer.seal(encode_record(record), key)
            expected = stored.version if stored else None
            if await self._store.compare_and_set(key, expected, value, ttl=KEPT_SECONDS) is not None:
                return
        raise StoreError("another proxy writes the coverage of the same instance")

    async def register(self, instance: int) -> None:
        """Make an instance known to readers.  Raises StoreError."""
        for _ in range(_ATTEMPTS):
            stored = await self._store.get(INSTANCES_KEY)
            known = _instances(stored.value) if stored else set()
            if instance in known:
                return
            value = json.dumps(sorted(known | {instance})).encode()
            if await self._store.compare_and_set(INSTANCES_KEY, stored.version if stored else None, value) is not None:
                return
        raise StoreError("many proxies make themselves known at the same time")

    async def read(self, first: int, last: int) -> Table:
        """Return what all proxies said of the hours from ``first`` to ``last``.  Raises StoreError."""
        stored = await self._store.get(INSTANCES_KEY)
        total = Table()
        for instance in sorted(_instances(stored.value)) if stored else ():
            for hour in range(first, last + 1):
                key = record_key(hour, instance)
                found = await self._store.get(key)
                record = self._open(key, found.value) if found else None
                if record is not None:
                    total.merge(record.total())
        return total

    def _open(self, key: str, value: bytes) -> Record | None:
        try:
            return decode_record(self._sealer.open(value, key))
        except (IntegrityError, WireError):
            return None  # of another key or version: it cannot be added to


def _instances(value: bytes) -> set[int]:
    try:
        return {int(each) for each in json.loads(value)}
    except (ValueError, TypeError):
        return set()
