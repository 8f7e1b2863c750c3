"""One ``safelight up``, or one group of proxies, on a data folder at a time.

Two advisory locks (flock): one of the supervisor alone, and one that the roles inherit.  Where a supervisor was
killed, the next one waits until the roles of the first have ended: until then they hold its ports.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Final

from shared.errors import ConfigError

ORPHAN_SECONDS: Final = 12.0
"""Roles end within 10 seconds of their supervisor's death."""
_POLL_SECONDS: Final = 0.1


class SupervisorLock:
    """Held from ``acquire`` to ``release``; its files lie in ``folder``."""

    def __init__(self, folder: Path, name: str = "up") -> None:
        self._folder = folder
        self._name = name
        self._own = -1
        self.descriptor = -1
        """To be inherited by the roles, which hold it until they end."""

    async def acquire(self, *, patience: float = ORPHAN_SECONDS) -> None:
        """Take both locks; raises ConfigError where a supervisor runs, or orphans outlive ``patience`` seconds."""
        data_dir = self._folder.parent
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._own, self.descriptor = (
                _open(self._folder / f"{self._name}.lock"),
                _open(self._folder / f"{self._name}-roles.lock"),
            )
        except OSError as error:
            raise ConfigError(f"cannot write to data_dir {data_dir}: {error.strerror}") from error
        if not _locked(self._own):
            raise ConfigError(f"safelight up runs already on {data_dir}: stop it, or set data_dir to another folder")
        end = asyncio.get_running_loop().time() + patience
        while not _locked(self.descriptor):
            if asyncio.get_running_loop().time() >= end:
                raise ConfigError(f"roles of an earlier safelight up still run on {data_dir}: stop them")
            await asyncio.sleep(_POLL_SECONDS)  # a lock of other processes: there is no event to wait for

    def release(self) -> None:
        """Let go; idempotent."""
        for descriptor in (self._own, self.descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._own = self.descriptor = -1


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
