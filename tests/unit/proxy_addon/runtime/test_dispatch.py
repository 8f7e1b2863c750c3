"""Dispatch with cached handlers does what mitmproxy's own does: same calls, same order, same ends."""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import exceptions, hooks
from mitmproxy.addonmanager import AddonManager
from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.test import tflow

from proxy_addon.runtime.dispatch import CachedDispatch

KINDS = ("nothing", "sync", "async", "raises", "halts", "module", "number", "update")
Plan = tuple[str, tuple[str, ...]]
"""What an addon's handler does, and those of the addons inside it."""


def handler(log: list[str], name: str, kind: str) -> Any:
    def note(*_: object) -> None:
        log.append(name)
        if kind == "raises":
            raise ValueError(name)
        if kind == "halts":
            raise exceptions.AddonHalt

    async def note_later(*_: object) -> None:
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn
        note()

    return {"async": note_later, "module": types, "number": 7}.get(kind, note)


def make_addon(log: list[str], name: str, kind: str, inside: tuple[str, ...] = ()) -> object:
    members: dict[str, Any] = {"name": name}
    if kind == "update":
        members["update"] = staticmethod(handler(log, f"{name}.update", "sync"))
    if kind != "nothing":
        members["request"] = staticmethod(found) if callable(found := handler(log, name, kind)) else found
    if inside:
        members["addons"] = [make_addon(log, f"{name}.{at}", each) for at, each in enumerate(inside)]
    return type(name.replace(".", "_"), (), members)()


def make_master() -> Master:
    master = Master(Options())
    master._legacy_log_events.uninstall()  # noqa: SLF001
    return master


async def calls(manager: Callable[[Master], AddonManager], plans: list[Plan]) -> list[str]:
    """Make a chain, call a flow's hook twice, take the first addon out, call it again."""
    log: list[str] = []
    master = make_master()
    master.addons = manager(master)
    chain = [make_addon(log, f"a{at}", kind, inside) for at, (kind, inside) in enumerate(plans)]
    master.addons.add(*chain)
    event = HttpRequestHook(tflow.tflow())
    for _ in range(2):
        await master.addons.handle_lifecycle(event)
        log.append("|")
    await master.addons.trigger_event(event)
    log.append("|")
    if chain:
        master.addons.remove(chain[0])
    await master.addons.handle_lifecycle(event)
    return log


plans = st.lists(st.tuples(st.sampled_from(KINDS), st.lists(st.sampled_from(KINDS), max_size=2).map(tuple)), max_size=4)


@given(plan=plans)
def test_the_same_handlers_are_called_in_the_same_order(plan: list[Plan]) -> None:
    logging.getLogger("mitmproxy.addonmanager").disabled = True
    try:
        assert asyncio.run(calls(CachedDispatch, plan)) == asyncio.run(calls(AddonManager, plan))
    finally:
        logging.getLogger("mitmproxy.addonmanager").disabled = False


async def begun(plans: list[Plan]) -> list[str]:
    """What ``handle_lifecycle`` calls, begun and then waited for as far as anything waits."""
    log: list[str] = []
    master = make_master()
    master.addons = manager = CachedDispatch(master)
    manager.add(*(make_addon(log, f"a{at}", kind, inside) for at, (kind, inside) in enumerate(plans)))
    rest = manager.begin("request", tflow.tflow())
    waits = any(kind == "async" for kind, inside in plans for kind in (kind, *inside))
    assert waits or rest is None
    if rest is not None:
        await rest
    return [*log, "|"]


@given(plan=plans)
def test_a_hook_that_is_begun_calls_the_same_and_leaves_only_what_waits(plan: list[Plan]) -> None:
    logging.getLogger("mitmproxy.addonmanager").disabled = True
    try:
        whole = asyncio.run(calls(AddonManager, plan))
        assert asyncio.run(begun(plan)) == whole[: whole.index("|") + 1]
    finally:
        logging.getLogger("mitmproxy.addonmanager").disabled = False


async def test_a_handler_that_is_cancelled_ends_the_hook() -> None:
    log: list[str] = []
    manager = CachedDispatch(make_master())

    class Waits:
        async def request(self, _: object) -> None:
            log.append("waits")
            await asyncio.get_running_loop().create_future()

    manager.add(Waits(), make_addon(log, "after", "sync"))
    rest = manager.begin("request", tflow.tflow())
    assert rest is not None
    task = asyncio.get_running_loop().create_task(rest)
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.wait({task})
    assert task.cancelled()
    assert log == ["waits"]


async def test_an_addon_that_comes_later_is_called() -> None:
    log: list[str] = []
    master = make_master()
    manager = CachedDispatch(master)
    manager.add(make_addon(log, "a", "sync"))
    event = HttpRequestHook(tflow.tflow())
    await manager.handle_lifecycle(event)
    manager.add(make_addon(log, "b", "async"))
    await manager.handle_lifecycle(event)
    assert log == ["a", "a", "b"]
    manager.clear()
    await manager.handle_lifecycle(event)
    assert log == ["a", "a", "b"]


async def test_an_addon_inside_another_that_comes_later_is_called() -> None:
    log: list[str] = []
    master = make_master()
    manager = CachedDispatch(master)
    outer: Any = make_addon(log, "a", "sync", ("nothing",))
    manager.add(outer)
    await manager.trigger_event(hooks.RunningHook())
    event = HttpRequestHook(tflow.tflow())
    await manager.handle_lifecycle(event)
    inner = make_addon(log, "late", "sync")
    outer.addons.append(manager.register(inner))
    await manager.handle_lifecycle(event)
    assert log == ["a", "a", "late"]
