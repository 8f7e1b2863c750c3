"""A client that hangs up needs no verdict any more: the hooks that wait for one are cancelled."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class HangUps:
    """Which tasks wait for which client; clients by any key."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Task[Any]]] = {}

    def cancellable(self, client: str) -> Cancellable:
        """Return a context in which the current task ends when the client hangs up."""
        return Cancellable(self, client)

    def add(self, client: str, task: asyncio.Task[Any]) -> None:
        """Cancel ``task`` when the client hangs up."""
        waiting = self._waiting.get(client)
        if waiting is None:
            waiting = self._waiting[client] = set()
        waiting.add(task)

    def discard(self, client: str, task: asyncio.Task[Any]) -> None:
        """Let ``task`` go on, whatever the client does."""
        waiting = self._waiting.get(client)
        if waiting is not None:
            waiting.discard(task)
            if not waiting:
                del self._waiting[client]

    def hung_up(self, client: str) -> None:
        """Cancel what waits for a client."""
        for task in self._waiting.pop(client, ()):
            task.cancel()


class Cancellable:
    """See ``HangUps.cancellable``; a class, since a generator costs four times as much, several times a request."""

    __slots__ = ("_client", "_hang_ups", "_task")

    def __init__(self, hang_ups: HangUps, client: str) -> None:
        self._hang_ups = hang_ups
        self._client = client
        self._task = asyncio.current_task()

    def __enter__(self) -> None:
        if self._task is not None:
            self._hang_ups.add(self._client, self._task)

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._task is not None:
            self._hang_ups.discard(self._client, self._task)
