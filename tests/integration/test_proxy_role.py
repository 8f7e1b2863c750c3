"""The proxy role over the embedded bus and store, a worker of a few lines behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import bcrypt
import httpx
import pytest

from shared.errors import ConfigError, LeaseHeldError
from tests.origins import serve_origin
from tests.proxies import make_image
from tests.proxy_roles import Role, alerts_of, apply, hub, make_settings, running, worker

HASHED = bcrypt.hashpw(b"sesame", bcrypt.gensalt(4)).decode()
MUCH_LATER = 10.0
"""Seconds; on an idle machine a wait ends at the policy's deadline, and what this catches is one that does not."""


async def test_from_policy_to_alert(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with hub(settings), running(settings) as role, worker(settings), serve_origin() as origin:
        url = f"http://127.0.0.1:{origin.port}/"
        assert role.readiness.waiting_for() == ()
        async with role.client() as client:
            secret = make_image(protected=True)
            assert (await client.post(url, content=secret)).status_code == 200  # no policy yet
            await apply(settings)
            async with asyncio.timeout(MUCH_LATER):
                while (await client.post(url, content=secret)).status_code == 200:
                    pass
            large = make_image(700_000, protected=True)  # goes by claim check
            blocked = await client.post(url, content=large)
            assert (await client.post(url, content=make_image())).status_code == 200
    assert blocked.status_code == 403
    alerts = await alerts_of(settings)
    assert blocked.json()["incident"] == alerts[-1].incident
    assert (alerts[-1].encoder, alerts[-1].finding.set) == ("encoder-1", "designs")
    assert role.metrics.value("safelight_proxy_outbox_alerts") == 0


@pytest.mark.parametrize(("on_uninspected", "status"), [("allow", 200), ("block", 403)])
async def test_without_workers_the_deadline_decides(tmp_path: Path, on_uninspected: str, status: int) -> None:
    settings = make_settings(tmp_path)
    await apply(settings, on_uninspected)
    loop = asyncio.get_running_loop()
    async with hub(settings), running(settings) as role, serve_origin() as origin, role.client() as client:
        begun = loop.time()
        response = await client.post(f"http://127.0.0.1:{origin.port}/", content=make_image())
        took = loop.time() - begun
    assert response.status_code == status
    assert 1.0 <= took < MUCH_LATER
    assert [alert.finding.kind for alert in await alerts_of(settings)] == ["uninspected"]


@pytest.mark.parametrize(("on_uninspected", "status"), [("allow", 200), ("block", 403)])
async def test_with_the_store_down_the_last_policies_hold(tmp_path: Path, on_uninspected: str, status: int) -> None:
    """Nothing answers, yet the proxy listens, is not ready, and decides by on_uninspected without waiting in vain."""
    settings = make_settings(tmp_path)
    await apply(settings, on_uninspected)
    async with hub(settings), running(settings):
        pass
    down = make_settings(tmp_path, store="redis://127.0.0.1:1/0")
    loop = asyncio.get_running_loop()
    async with running(down) as role, serve_origin() as origin, role.client() as client:
        assert role.readiness.waiting_for() == ("bus",)
        begun = loop.time()
        response = await client.post(f"http://127.0.0.1:{origin.port}/", content=make_image())
        took = loop.time() - begun
        assert role.metrics.value("safelight_proxy_outbox_alerts") == 1
    assert response.status_code == status
    assert took < MUCH_LATER
    # The alert waits in the outbox for the store's return.
    async with hub(settings), running(settings):
        pass
    assert len(await alerts_of(settings)) == 1


async def test_a_stop_lets_flows_end_and_takes_no_new_ones(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    await apply(settings, "block")
    async with hub(settings), serve_origin() as origin:
        url = f"http://127.0.0.1:{origin.port}/"
        async with running(settings) as role:
            client, late = role.client(), role.client()
            await client.get(url)
            waiting = asyncio.get_running_loop().create_task(client.post(url, content=make_image()))
            while not role.metrics.value("safelight_proxy_pending_requests"):
                await asyncio.wait({waiting}, timeout=0.01)
            role.stopping.set()
            assert (await waiting).status_code == 403
            with pytest.raises(httpx.ConnectError):
                await late.get(url)
            await client.aclose()
            await late.aclose()
    assert len(await alerts_of(settings)) == 1


async def test_one_sender_drowning_takes_no_verdicts_from_another(tmp_path: Path) -> None:
    passwords = tmp_path / "htpasswd"
    passwords.write_text(f"greedy:{HASHED}\nother:{HASHED}\n")
    proxy = {"listen": "127.0.0.1:0", "decode_budget": 8}
    settings = make_settings(tmp_path, proxy=proxy, identity={"htpasswd": passwords})
    await apply(settings, "{default: allow, decode_budget: block}")
    async with hub(settings), running(settings) as role, worker(settings), serve_origin() as origin:
        url = f"http://127.0.0.1:{origin.port}/"
        async with role.client("greedy", "sesame") as greedy, role.client("other", "sesame") as other:
            flood = [make_image(100 + number) for number in range(40)]
            sent = await asyncio.gather(*(greedy.post(url, content=image) for image in flood))
            refused = [image for image, reply in zip(flood, sent, strict=True) if reply.status_code == 403]
            assert 0 < len(flood) - len(refused) < len(flood)
            assert [(await other.post(url, content=image)).status_code for image in refused[:4]] == [200] * 4
            assert (await other.post(url, content=make_image(protected=True))).status_code == 403
    hits = role.metrics.value("safelight_proxy_limit_hits_total", limit="decode_budget")
    assert hits == role.metrics.value("safelight_proxy_uninspected_total", reason="decode_budget") == len(refused)
    findings = [alert.finding for alert in await alerts_of(settings)]
    assert sorted(each.reason for each in findings if each.kind == "uninspected") == ["decode_budget"] * len(refused)
    assert [each.kind for each in findings].count("match") == 1


async def test_a_port_in_use_is_said_in_a_sentence(tmp_path: Path) -> None:
    async with serve_origin() as origin:
        settings = make_settings(tmp_path, proxy={"listen": f"127.0.0.1:{origin.port}"})
        async with hub(settings):
            with pytest.raises(ConfigError, match=rf"127.0.0.1:{origin.port} is in use.*proxy\.listen"):
                await Role(settings).run()


async def test_a_local_bus_without_its_hub_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="safelight up"):
        await Role(make_settings(tmp_path)).run()


async def test_one_proxy_for_each_instance(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with hub(settings), running(settings):
        with pytest.raises(LeaseHeldError):
            await Role(settings).run()
        other = make_settings(tmp_path, proxy={"listen": "127.0.0.1:0", "instance": 1})
        async with running(other) as role:
            assert role.readiness.waiting_for() == ()
    async with hub(settings), running(settings):
        pass  # the lease was released


async def test_an_upstream_ca_that_is_none_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    proxy = {"listen": "127.0.0.1:0", "upstream_ca": tmp_path / "empty.pem"}
    with pytest.raises(ConfigError, match="upstream_ca"):
        await Role(make_settings(tmp_path, proxy=proxy)).run()


async def test_an_app_of_ones_own_with_a_slip_is_said_in_a_sentence(tmp_path: Path) -> None:
    apps = tmp_path / "apps"
    apps.mkdir()
    (apps / "intranet.toml").write_text("[app]\nname = 'intranet'\nowner = 'me'\n")
    settings = make_settings(tmp_path, proxy={"listen": "127.0.0.1:0", "apps_dir": str(apps)})
    with pytest.raises(ConfigError, match=r"intranet\.toml: app\.owner: unknown key"):
        await Role(settings).run()
