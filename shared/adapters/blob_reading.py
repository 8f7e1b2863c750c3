"""Blobs of a store handed to a caller one after the other, some at once, for stores that read them as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from shared.errors import StoreError

AT_ONCE: Final = 3
"""While one blob comes from the store, another is opened."""


async def read_each(
    get_blob: Callable[[str], Awaitable[bytes | None]],
    names: Sequence[str],
    largest: int,
    take: Callable[[int, memoryview], None],
) -> bool:
    """Do what ``Store.read_blobs`` says, by ``Store.get_blob``."""
    left = iter(enumerate(names))

    async def some() -> bool:
        for place, name in left:
            data = await get_blob(name)
            if data is None:
                return False
            check_size(name, len(data), largest)
            await asyncio.to_thread(take, place, memoryview(data))
        return True

    return all(await all_of(some() for _ in range(AT_ONCE)))


def check_size(name: str, size: int, largest: int) -> None:
    """Raise StoreError where a blob is larger than it may be."""
    if size > largest:
        raise StoreError(f"the blob {name} has {size} bytes, more than the {largest} that were expected")


async def all_of[T](works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what they return; where one raises, none goes on."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


__all__ = ["AT_ONCE", "all_of", "check_size", "read_each"]
