"""Inspection is switched off, and policies are changed, on every proxy: by their next look at the store or the file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from console.services.bypass import BypassSwitch
from proxy_addon.policies import bypass_watch, policy_watch
from proxy_addon.runtime.waiting import until
from shared.adapters.bypass_board import BypassFile, BypassInStore
from shared.adapters.opening import open_store
from shared.adapters.role import SystemClock
from shared.adapters.run_files import read_run_file
from shared.config import Settings
from shared.errors import StoreError
from shared.sealing import Sealer, load_or_create_key
from tests.origins import Origin, serve_origin
from tests.proxies import make_image
from tests.proxy_roles import alerts_of, apply, hub, make_settings, running

PROMISED_SECONDS = 2.0
WITHIN_SECONDS = 15.0
"""On a machine that does other things as well: a proxy that does not look is caught, a slow one is not."""
NOTHING_LEAVES = "policies: [{name: nothing-leaves, when: {activities: [upload]}, then: {action: block}}]"
PROTECTED = make_image(protected=True)


@pytest.mark.parametrize("poll", [bypass_watch.POLL_SECONDS, policy_watch.POLL_SECONDS])
def test_a_look_leaves_most_of_the_promised_time_to_a_slow_store(poll: float) -> None:
    assert poll <= PROMISED_SECONDS / 4


@asynccontextmanager
async def switch(settings: Settings) -> AsyncIterator[BypassSwitch]:
    sealer, store = Sealer(load_or_create_key(settings.key_file)), open_store(settings)
    with suppress(StoreError):
        await store.start()
    yield BypassSwitch(BypassFile(settings.data_dir, sealer), BypassInStore(store, sealer), SystemClock())
    await store.stop()


async def status(proxy: str, origin: Origin) -> int:
    async with httpx.AsyncClient(proxy=f"http://{proxy}", trust_env=False, timeout=20.0) as client:
        return (await client.post(f"http://127.0.0.1:{origin.port}/", content=PROTECTED)).status_code


async def becomes(proxy: str, origin: Origin, wanted: int) -> None:
    async with asyncio.timeout(WITHIN_SECONDS):
        while await status(proxy, origin) != wanted:
            pass


@asynccontextmanager
async def process(settings: Settings) -> AsyncIterator[str]:
    """A proxy in a process of its own: mitmproxy's context is one for a process."""
    environment = {
        **os.environ,
        "SAFELIGHT_DATA_DIR": str(settings.data_dir),
        "SAFELIGHT_STORE": settings.store,
        "SAFELIGHT_SECRETS__KEY_FILE": str(settings.key_file),
        "SAFELIGHT_PROXY__LISTEN": "127.0.0.1:0",
        "SAFELIGHT_PROXY__INSTANCE": "1",
        "SAFELIGHT_METRICS__LISTEN": "127.0.0.1:0",
    }
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "console.cli", "proxy", env=environment)
    try:
        assert await until(lambda: "proxy" in read_run_file(settings.run_dir, "proxy"), 60)
        yield str(read_run_file(settings.run_dir, "proxy")["proxy"])
    finally:
        child.terminate()
        assert await child.wait() == 0


async def test_policies_and_bypass_hold_on_two_machines(tmp_path: Path) -> None:
    here = make_settings(tmp_path)
    load_or_create_key(here.key_file)
    there = make_settings(tmp_path / "there", store=here.store, secrets={"key_file": here.key_file})
    async with hub(here), hub(there), running(here) as role, process(there) as far, serve_origin() as origin:
        near = role.addresses["proxy"]
        assert await status(near, origin) == await status(far, origin) == 200
        await apply(here, text=NOTHING_LEAVES)
        await asyncio.gather(becomes(near, origin, 403), becomes(far, origin, 403))
        async with switch(here) as bypass:
            await bypass.on(60, "an outage", "root@host")
            await asyncio.gather(becomes(near, origin, 200), becomes(far, origin, 200))
            assert "an outage" in role.readiness.warnings()[0]
            assert role.readiness.waiting_for() == ()
            value, booked = role.metrics.value, "safelight_proxy_body_bytes_total"
            outcome = {"direction": "outbound", "outcome": "bypassed"}
            assert await until(lambda: value(booked, **outcome) >= len(PROTECTED), WITHIN_SECONDS)
            assert await until(lambda: value("safelight_proxy_bypass") == 1, WITHIN_SECONDS)
            await bypass.off("root@host")
            await asyncio.gather(becomes(near, origin, 403), becomes(far, origin, 403))
            async with asyncio.timeout(WITHIN_SECONDS):
                while await told(here) != {"off-0", "off-1", "on-0", "on-1"}:
                    pass


async def told(settings: Settings) -> set[str]:
    alerts = [alert for alert in await alerts_of(settings) if alert.finding.kind == "operation"]
    return {alert.incident.partition("-")[2] for alert in alerts}


async def test_it_works_with_the_store_down_and_over_a_restart_and_ends_by_itself(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    await apply(settings, "block")
    async with hub(settings), running(settings):
        pass  # the policies are remembered
    down = make_settings(tmp_path, store="redis://127.0.0.1:1/0")
    async with serve_origin() as origin:
        async with running(down) as role, switch(down) as bypass:
            assert await status(role.addresses["proxy"], origin) == 403
            assert (await bypass.on(60, "the store is down", "root@host")).unreached
            await becomes(role.addresses["proxy"], origin, 200)
        async with running(down) as role, switch(down) as bypass:
            assert await status(role.addresses["proxy"], origin) == 200
            change = await bypass.on(1, "for a second more", "root@host")
            async with asyncio.timeout(change.record.until - SystemClock().wall() + WITHIN_SECONDS):
                while await status(role.addresses["proxy"], origin) != 403:
                    pass
            assert role.readiness.warnings() == ()


async def test_what_the_file_says_reaches_the_store_when_it_is_back(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with switch(make_settings(tmp_path, store="redis://127.0.0.1:1/0")) as bypass:
        assert (await bypass.on(60, "the store is down", "root@host")).unreached
    async with hub(settings), running(settings), switch(settings) as bypass:
        async with asyncio.timeout(WITHIN_SECONDS):
            while not (await bypass.status()).history:  # noqa: ASYNC110 - the store announces no keys
                await asyncio.sleep(0)
        assert [record.reason for record in (await bypass.status()).history] == ["the store is down"]
