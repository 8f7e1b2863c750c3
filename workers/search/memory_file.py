"""A file that lives in memory, for libraries that read and write paths only: nothing of it reaches a disk."""

from __future__ import annotations

import mmap
import os
import weakref
from pathlib import Path


class MemoryFile:
    """An anonymous file (memfd_create(2)); it is gone with this object."""

    def __init__(self, size: int = 0) -> None:
        self._descriptor = os.memfd_create("safelight-index", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        os.ftruncate(self._descriptor, size)

    @classmethod
    def of(cls, data: bytes) -> MemoryFile:
        """Return a file of these bytes."""
        file = cls(len(data))
        file.write(memoryview(data), 0)
        return file

    @property
    def path(self) -> Path:
        """Where this process finds it."""
        return Path(f"/proc/self/fd/{self._descriptor}")

    def __len__(self) -> int:
        return os.fstat(self._descriptor).st_size

    def write(self, data: memoryview, place: int) -> None:
        """Write bytes from a place on: half as long as through ``map``, which meets every page for the first time."""
        while data:
            written = os.pwrite(self._descriptor, data, place)
            data, place = data[written:], place + written

    def map(self) -> memoryview:
        """Return its bytes, to be read and written in place."""
        size = len(self)
        return memoryview(mmap.mmap(self._descriptor, size)) if size else memoryview(bytearray())


__all__ = ["MemoryFile"]
