"""Where a bypass is written and read: a file on this machine, and the store.

Both are signed with the deployment's key, since whoever can write one switches inspection off.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from shared.core.bypass import BYPASS_KEY, HISTORY_LOG, Bypass, decode_bypass, encode_bypass
from shared.errors import IntegrityError, StoreError, WireError
from shared.ports import Store
from shared.sealing import SIGNATURE_BYTES, Sealer

FILE_NAME: Final = "bypass"
_FILE_MOST: Final = 8192
_ATTEMPTS: Final = 5


class BypassFile:
    """The file; every proxy of this machine that has this data directory watches it."""

    def __init__(self, data_dir: Path, sealer: Sealer) -> None:
        self._path = data_dir / FILE_NAME
        self._sealer = sealer

    def read(self) -> Bypass | None:
        """Return the record; None: there is none.  Raises IntegrityError, WireError, OSError."""
        try:
            with self._path.open("rb") as file:
                return _open(self._sealer, file.read(_FILE_MOST))
        except FileNotFoundError:
            return None

    def write(self, record: Bypass) -> None:
        """Replace the record; raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(f".{FILE_NAME}.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_close(self._sealer, record))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


class BypassInStore:
    """The store's record, and the log of all changes."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def read(self) -> Bypass | None:
        """Return the record; raises StoreError, IntegrityError, WireError."""
        stored = await self._store.get(BYPASS_KEY)
        return _open(self._sealer, stored.value) if stored else None

    async def write(self, record: Bypass) -> None:
        """Replace an older record and log the change; a newer one stays.  Raises StoreError."""
        value = _close(self._sealer, record)
        for _ in range(_ATTEMPTS):
            stored = await self._store.get(BYPASS_KEY)
            if stored is not None and self._is_as_new(stored.value, record):
                return
            version = await self._store.compare_and_set(BYPASS_KEY, stored.version if stored else None, value)
            if version is not None:
                await self._store.append(HISTORY_LOG, [value])
                return
        raise StoreError("the bypass is being changed by others at the same time; try again")

    def _is_as_new(self, stored: bytes, record: Bypass) -> bool:
        try:
            return _open(self._sealer, stored).changed_at >= record.changed_at
        except (IntegrityError, WireError):
            return False

    async def history(self, most: int) -> tuple[Bypass, ...]:
        """Return the last changes, the newest first; raises StoreError, IntegrityError, WireError."""
        last = await self._store.last_position(HISTORY_LOG)
        entries = await self._store.read(HISTORY_LOG, max(0, last - most), most)
        return tuple(_open(self._sealer, entry.value) for entry in reversed(entries))


def _open(sealer: Sealer, data: bytes) -> Bypass:
    if len(data) < SIGNATURE_BYTES:
        raise WireError("a bypass record that is too short")
    sealer.verify(b"bypass" + data[SIGNATURE_BYTES:], data[:SIGNATURE_BYTES])
    return decode_bypass(data[SIGNATURE_BYTES:])


def _close(sealer: Sealer, record: Bypass) -> bytes:
    content = encode_bypass(record)
    return sealer.sign(b"bypass" + content) + content
