"""mitmproxy's dispatch of hooks, with the handlers of each hook looked up once instead of for every event.

Its own manager walks all addons and their attributes for each of about eight hooks a request, and once more for the
``update`` that follows every hook of a flow.  The order of handlers, the addons inside addons, what an exception or
``AddonHalt`` ends, and that a changed chain counts from the next event on are as in mitmproxy 12.2.3.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, Final

from mitmproxy import exceptions, flow, hooks
from mitmproxy.addonmanager import AddonManager, safecall, traverse
from mitmproxy.master import Master

Handlers = tuple[tuple[Callable[..., Any], ...], ...]
"""Of one hook: per addon of the chain that has any, its own handler and those of the addons inside it, in order."""
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

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        """Call the handlers of a hook with one argument; where that is a flow, those of ``update`` after them."""
        (argument,) = event.args()
        handlers = self._of(event.name)
        if handlers:
            await _call(handlers, (argument,))
        if isinstance(argument, flow.Flow):
            updates = self._of(_UPDATE)
            if updates:
                await _call(updates, ([argument],))

    async def trigger_event(self, event: hooks.Hook) -> None:
        """Call the handlers of a hook."""
        await _call(self._of(event.name), event.args())

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


async def _call(handlers: Handlers, arguments: Any) -> None:
    for of_addon in handlers:
        try:
            for handler in of_addon:
                waiting = handler(*arguments)
                if waiting is not None and inspect.isawaitable(waiting):
                    await waiting
        except exceptions.AddonHalt:
            return
        except Exception:
            with safecall():  # logs it, as mitmproxy does; entering it every time costs more than the call
                raise
