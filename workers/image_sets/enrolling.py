"""Many images into one set, in their order, each looked at while those before it are added.

Whether an image is a duplicate, or stands near one that was added just before, is known only in its turn; what an image
looks like is known without.  So the fingerprints of the next few are made meanwhile: one picture is in the decode
child, one under the encoder, one with its local features.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from workers.image_sets.collisions import Neighbourhood
from workers.image_sets.enrolment import AddResult
from workers.image_sets.fingerprint import Fingerprint, Fingerprinter

AHEAD: Final = 4
"""Images that are looked at before it is their turn: on two cores more made nothing faster."""
AHEAD_BYTES: Final = 64 << 20
"""Of their files together, but for one that is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted[Place]:
    """An image file that is to be added under ``name``; ``place`` is whatever its sender knows it by.

    ``refused``: why there are no bytes of it.
    """

    place: Place
    name: str
    data: bytes = b""
    refused: AddResult | None = None


class Adds(Protocol):
    """What protects images, such as an ImageSets."""

    def holds(self, set_name: str, data: bytes) -> bool:
        """Tell whether a set has an image, as far as is known."""
        ...

    async def add(
        self,
        set_name: str,
        name: str,
        data: bytes,
        fingerprinter: Fingerprinter,
        neighbourhood: Neighbourhood | None = None,
        *,
        force: bool = False,
    ) -> AddResult:
        """Protect one image."""
        ...


async def add_all[Place](
    sets: Adds,
    set_name: str,
    images: AsyncGenerator[Submitted[Place]],
    fingerprinter: Fingerprinter,
    neighbourhood: Neighbourhood | None = None,
    *,
    force: bool = False,
) -> AsyncGenerator[tuple[Place, AddResult]]:
    """Add images one after the other, and yield what became of each; raises what ``add`` does.

    ``images`` is read no further ahead than `AHEAD`, and closed.
    """
    async with aclosing(_Window(sets, set_name, images, fingerprinter)) as window:
        while (image := await window.next()) is not None:
            if image.refused is not None:
                yield image.place, image.refused
            else:
                yield image.place, await sets.add(set_name, image.name, image.data, window, neighbourhood, force=force)


class _Window[Place]:
    """The next images, looked at before it is their turn; the fingerprinter of the one whose turn it is."""

    def __init__(
        self, sets: Adds, set_name: str, images: AsyncGenerator[Submitted[Place]], fingerprinter: Fingerprinter
    ) -> None:
        self._sets = sets
        self._set_name = set_name
        self._images = images
        self._fingerprinter = fingerprinter
        self._next: deque[tuple[Submitted[Place], asyncio.Task[Fingerprint] | None]] = deque()
        self._turn: asyncio.Task[Fingerprint] | None = None
        self._read_all = False
        self._came, self._went = asyncio.Event(), asyncio.Event()
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def next(self) -> Submitted[Place] | None:
        """Return the image whose turn it is, None after the last; raises what reading them does."""
        await _end(self._turn)
        self._turn = None
        while not self._next:
            if self._read_all:
                await self._reader
                return None
            self._came.clear()
            await self._came.wait()
        image, self._turn = self._next.popleft()
        self._went.set()
        return image

    async def fingerprint(self, data: bytes) -> Fingerprint:
        """Return the fingerprint of the image whose turn it is."""
        return await (self._fingerprinter.fingerprint(data) if self._turn is None else self._turn)

    async def aclose(self) -> None:
        """Stop all that is under way."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._images.aclose()
        for task in (self._turn, *(task for _, task in self._next)):
            await _end(task)

    async def _read(self) -> None:
        try:
            async for image in self._images:
                while self._full(len(image.data)):
                    self._went.clear()
                    await self._went.wait()
                self._next.append((image, self._begin(image)))
                self._came.set()
        finally:
            self._read_all = True
            self._came.set()

    def _full(self, size: int) -> bool:
        held = sum(len(image.data) for image, _ in self._next)
        return len(self._next) >= AHEAD or (held > 0 and held + size > AHEAD_BYTES)

    def _begin(self, image: Submitted[Place]) -> asyncio.Task[Fingerprint] | None:
        """Look at an image, but for one that will be a duplicate as far as can be seen."""
        alike = any(image.data == held.data for held, _ in self._next)
        if image.refused is not None or alike or self._sets.holds(self._set_name, image.data):
            return None
        return asyncio.get_running_loop().create_task(self._fingerprint(image.data))

    async def _fingerprint(self, data: bytes) -> Fingerprint:
        return await self._fingerprinter.fingerprint(data)


async def _end(task: asyncio.Task[Fingerprint] | None) -> None:
    """Have a task nobody waits for any more stop, and what it raised forgotten."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


__all__ = ["AHEAD", "AHEAD_BYTES", "Submitted", "add_all"]
