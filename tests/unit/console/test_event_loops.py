"""uvloop where it pays and is there, asyncio's own elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop

from console.event_loops import loop_factory


def missing(name: str) -> Any:
    raise ImportError(name)


@pytest.mark.parametrize("role", ["worker", "alerts"])
def test_roles_that_wait_for_the_bus_run_on_uvloop(role: str) -> None:
    loop = loop_factory(role)()
    assert isinstance(loop, uvloop.Loop)
    loop.close()


@pytest.mark.parametrize("role", ["proxy", "console"])
def test_the_others_run_on_asyncios_own(role: str) -> None:
    assert loop_factory(role) is asyncio.new_event_loop


def test_without_uvloop_a_worker_runs_all_the_same() -> None:
    assert loop_factory("worker", missing) is asyncio.new_event_loop
