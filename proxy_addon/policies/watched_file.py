"""A file that operators or other programs change while the proxy runs: read again when it changes.

A change that cannot be read leaves the last good content in force and says so once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shared.errors import ConfigError

POLL_SECONDS: Final = 1.0
FILE_MOST: Final = 64 << 20
"""Bytes; a directory of 500,000 addresses has 40 MB."""
_log = logging.getLogger(__name__)


class WatchedFile[T]:
    """``current`` is what the file last said."""

    def __init__(self, name: str, path: Path, parse: Callable[[str], T]) -> None:
        """Read the file; raises ConfigError, which names the setting ``name`` and the file."""
        self._name = name
        self._path = path
        self._parse = parse
        self._seen: tuple[int, int, int] | None = None
        self._current = self._read()

    def current(self) -> T:
        """Return the content in force."""
        return self._current

    async def run(self) -> None:
        """Look for changes for ever."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.poll()

    async def poll(self) -> bool:
        """Look once; tell whether the file was read anew."""
        try:
            fresh = await asyncio.to_thread(self._changed)
        except ConfigError as error:
            _log.error("what was read last stays in force: %s", error)
            return False
        if fresh is None:
            return False
        self._current = fresh
        _log.info("%s: %s was read again", self._name, self._path)
        return True

    def _changed(self) -> T | None:
        return None if self._stamp() == self._seen else self._read()

    def _read(self) -> T:
        self._seen = self._stamp()
        try:
            if self._path.stat().st_size > FILE_MOST:
                raise ConfigError(f"larger than {FILE_MOST} bytes")
            return self._parse(self._path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._name}: cannot read {self._path}: {error}") from error
        except ConfigError as error:
            raise ConfigError(f"{self._name}: {self._path}: {error}") from error

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
