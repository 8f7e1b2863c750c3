"""A spool folder: blobs as files, each written under a temporary name and renamed when it is whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Final

from shared.adapters.durable import sync_folder

ORPHAN_SECONDS: Final = 3600.0
"""A file that no row points to after this long was left by a process killed between file and row."""
_PARTIAL: Final = ".part"


class BlobFiles:
    """Every write makes a new file: a reader of the old one is never disturbed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Make the folder, for this user only."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, name: str, data: bytes, *, durable: bool) -> str:
        """Write ``data``; return the file's name.  ``durable`` survives a power cut (fsync), at a disk's price."""
        file = f"{sha256(name.encode()).hexdigest()[:32]}-{secrets.token_hex(8)}"
        partial = self._folder / (file + _PARTIAL)
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                if durable:
                    stream.flush()
                    os.fsync(stream.fileno())
            partial.rename(self._folder / file)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(self._folder)
        return file

    def read(self, file: str) -> bytes | None:
        """Return a file's bytes, or None where it has gone."""
        try:
            return (self._folder / file).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, files: Collection[str]) -> None:
        """Remove files; those already gone do not matter."""
        for file in files:
            (self._folder / file).unlink(missing_ok=True)

    def remove_orphans(self, known: Collection[str], now: float) -> None:
        """Remove old files that nothing points to."""
        for path in self._folder.iterdir():
            if path.name in known:
                continue
            try:
                if path.stat().st_mtime < now - ORPHAN_SECONDS:
                    path.unlink()
            except FileNotFoundError:  # another process swept it
                continue
