"""mitmproxy's dispatch of hooks, with the handlers of each hook looked up once instead of for every event.

Its own manager walks all addons and their attributes for each of about eight hooks a request, and once more for the
``update`` that follows every hook of a flow.  The order of handlers, the addons inside addons, what an exception or
``AddonHalt`` ends, and that a changed chain counts from the next event on are as in mitmproxy 12.2.3.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final

from mitmproxy import exceptions, flow, hooks
from mitmproxy.addonmanager import AddonManager, safecall, traverse
from mitmproxy.master import Master

Handlers = tuple[tuple[Callable[..., Any], ...], ...]
"""Of one hook: per addon of the chain that has any, its own handler and those of the addons inside it, in order."""
_Calls = Generator[Awaitable[object], None, None]
"""Calls handlers one after the other; yields what has to be waited for, and is thrown what comes of it."""
_UPDATE: Final = hooks.UpdateHook.name


class CachedDispatch(AddonManager):
    """An addon manager for a chain that seldom changes: changed attributes of an addon are not noticed."""

    def __init__(self, master: Master) -> None:
        self._handlers: dict[str, Handlers] = {}
        super().__init__(master)  # type: ignore[no-untyped-call]

    def register(self, addon: Any) -> Any:
        """Add an addon to another one's, and look handlers up anew."""
        try:
            return super().register(addon)  # type: ignore[no-untyped-call]
        finally:
            self._handlers.clear()

    def add(self, *addons: Any) -> None:
        """Add addons to the end of the chain."""
        try:
            super().add(*addons)  # type: ignore[no-untyped-call]
        finally:
            self._handlers.clear()

    def remove(self, addon: Any) -> None:
        """Remove an addon and those inside it."""
        try:
            super().remove(addon)  # type: ignore[no-untyped-call]
        finally:
            self._handlers.clear()

    def clear(self) -> None:
        """Remove all addons."""
        super().clear()  # type: ignore[no-untyped-call]
        self._handlers.clear()

    def begin(self, name: str, argument: Any) -> Coroutine[Any, Any, None] | None:
        """Do what ``handle_lifecycle`` does as far as nothing in it waits; return the rest, None where there is none.

        A handler that is a coroutine counts as one that waits: it is begun with the rest.
        """
        handlers, updates = self._of(name), self._of(_UPDATE)
        if not handlers and not updates:
            return None
        # To ask whether something is a flow, an abstract class, takes longer than to see that nobody wants to know.
        has_updates = bool(updates) and isinstance(argument, flow.Flow)
        calls = self._calls(name, argument) if has_updates else _calls(handlers, (argument,))
        waiting = next(calls, None)
        return None if waiting is None else _rest(calls, waiting)

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        """Call the handlers of a hook with one argument; where that is a flow, those of ``update`` after them."""
        (argument,) = event.args()
        rest = self.begin(event.name, argument)
        if rest is not None:
            await rest

    async def trigger_event(self, event: hooks.Hook) -> None:
        """Call the handlers of a hook."""
        calls = _calls(self._of(event.name), event.args())
        waiting = next(calls, None)
        if waiting is not None:
            await _rest(calls, waiting)

    def _calls(self, name: str, argument: Any) -> _Calls:
        yield from _calls(self._of(name), (argument,))
        yield from _calls(self._of(_UPDATE), ([argument],))

    def _of(self, name: str) -> Handlers:
        handlers = self._handlers.get(name)
        if handlers is None:
            handlers = self._handlers[name] = self._look_up(name)
        return handlers

    def _look_up(self, name: str) -> Handlers:
        found = []
        for addon in self.chain:
            own = tuple(_handlers_in(addon, name))
            if own:
                found.append(own)
        return tuple(found)


def _handlers_in(addon: Any, name: str) -> list[Callable[..., Any]]:
    handlers = []
    for each in traverse([addon]):
        handler = getattr(each, name, None)
        if handler and not isinstance(handler, types.ModuleType):
            handlers.append(handler if callable(handler) else _refusal(f"Addon handler {name} ({each}) not callable"))
    return handlers


def _refusal(message: str) -> Callable[..., Any]:
    def refuse(*_: object) -> None:
        raise exceptions.AddonManagerError(message)

    return refuse


def _calls(handlers: Handlers, arguments: Any) -> _Calls:
    for of_addon in handlers:
        try:
            for handler in of_addon:
                waiting = handler(*arguments)
                if waiting is not None and (type(waiting) is types.CoroutineType or inspect.isawaitable(waiting)):
                    yield waiting
        except exceptions.AddonHalt:
            return
        except Exception:
            with safecall():  # logs it, as mitmproxy does; entering it every time costs more than the call
                raise


async def _rest(calls: _Calls, waiting: Awaitable[object]) -> None:
    while True:
        try:
            try:
                await waiting
            except BaseException as error:  # noqa: BLE001 - it is raised where the handler was called
                waiting = calls.throw(error)
            else:
                waiting = next(calls)
        except StopIteration:
            return
