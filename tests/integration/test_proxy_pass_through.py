"""TLS that is not decrypted: listed hosts and pinned clients, through a running proxy."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from mitmproxy import ctx

from proxy_addon.runtime.waiting import until
from proxy_addon.tls.do_not_decrypt import Exceptions, parse_categories
from proxy_addon.tls.pass_through import PassThrough, StayOnHttp
from proxy_addon.tls.pinning import Limits, PinnedClients
from proxy_addon.tls.tunnels import Tunnels
from tests.factories import make_policy
from tests.origins import Answer, Origin, TestAuthority, serve_origin
from tests.proxies import RunningProxy, Setup, make_image, serve_proxy

HOSTS = ("bank.example", "pinned.example", "app.example", "other.example")
LISTED = '[[category]]\nname = "banking"\nwritten = 2026-11-21\nsource = ""\nhosts = ["bank.example", "app.example"]'
FAILURES = 3


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@dataclass
class Site:
    proxy: RunningProxy
    origin: Origin
    folder: Path
    clock: Clock = field(default_factory=Clock)

    def pinned(self) -> httpx.AsyncClient:
        """A client that trusts the origin's authority alone."""
        return self._client((self.folder / "origins-ca.pem").read_text())

    def enrolled(self) -> httpx.AsyncClient:
        return self._client(self.proxy.ca)

    def _client(self, authority: str) -> httpx.AsyncClient:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.load_verify_locations(cadata=authority)
        return httpx.AsyncClient(proxy=f"http://{self.proxy.address}", verify=trust, trust_env=False, timeout=20.0)

    async def fails(self, host: str) -> None:
        async with self.pinned() as client:
            with pytest.raises(httpx.ConnectError):
                await client.post(f"https://{host}/", content=make_image(protected=True))

    def let_through(self, reason: str) -> float:
        return self.proxy.setup.metrics.value("safelight_proxy_let_through_total", reason=reason)


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    setup, clock, authority = Setup(policies=[make_policy()]), Clock(), TestAuthority(folder)
    tunnels = Tunnels(setup.ledger, setup.metrics)
    letting = PassThrough(
        Exceptions(parse_categories(LISTED)),
        PinnedClients(Limits(failures=FAILURES, window=60.0, duration=600.0)),
        lambda host: host == "app.example",
        tunnels,
        clock,
        setup.metrics,
        setup.recorder.commit,
    )
    services = (("alt-svc", 'h3=":443"; ma=86400'), ("x-other", "kept"))
    async with serve_origin(lambda _: Answer(headers=services), tls=authority.context(*HOSTS)) as origin:
        resolve = {f"{host}:443": f"127.0.0.1:{origin.port}" for host in HOSTS}
        async with serve_proxy(
            setup,
            folder,
            resolve=resolve,
            upstream_ca=authority.file,
            before=[letting, StayOnHttp()],
            tunnels=tunnels,
        ) as proxy:
            yield Site(proxy, origin, folder, clock)


async def test_a_listed_host_is_not_decrypted(tmp_path: Path) -> None:
    async with site(tmp_path) as it, it.pinned() as client:
        answer = await client.post("https://bank.example/", content=make_image(protected=True))
        assert answer.status_code == 200
        assert "alt-svc" in answer.headers  # nothing is touched
        assert it.let_through("do_not_decrypt") == 1
        assert it.proxy.setup.recorder.alerts == []


async def test_what_is_never_let_through_is_decrypted_listed_and_pinned_or_not(tmp_path: Path) -> None:
    async with site(tmp_path) as it:
        for _ in range(FAILURES + 1):
            await it.fails("app.example")
        async with it.enrolled() as client:
            answer = await client.post("https://app.example/", content=make_image(protected=True))
            assert answer.status_code == 403


async def test_a_pinned_client_is_let_through_after_some_failures_and_for_a_while(tmp_path: Path) -> None:
    async with site(tmp_path) as it:
        for _ in range(FAILURES):
            assert it.proxy.setup.recorder.alerts == []
            await it.fails("pinned.example")
        assert await until(lambda: len(it.proxy.setup.recorder.alerts) == 1, 20)
        alert = it.proxy.setup.recorder.alerts[0]
        assert (alert.finding.kind, alert.context.host, alert.context.actor.ip) == (
            "operation",
            "pinned.example",
            "127.0.0.1",
        )
        async with it.pinned() as client:
            assert (await client.post("https://pinned.example/", content=make_image(protected=True))).status_code == 200
        assert it.let_through("pinned") == 1
        await it.fails("other.example")
        it.clock.now += 601
        await it.fails("pinned.example")


async def test_a_client_that_checks_the_key_after_the_handshake_is_pinned_too(tmp_path: Path) -> None:
    async with site(tmp_path) as it:
        for _ in range(FAILURES):
            await _hang_up(it, "pinned.example")
        assert await until(lambda: len(it.proxy.setup.recorder.alerts) == 1, 20)


async def test_a_client_that_uses_its_connections_is_not_pinned(tmp_path: Path) -> None:
    async with site(tmp_path) as it:
        for _ in range(FAILURES - 1):
            await _hang_up(it, "pinned.example")
        async with it.enrolled() as client:
            answer = await client.get("https://pinned.example/")
            assert "alt-svc" not in answer.headers
            assert answer.headers["x-other"] == "kept"
        for _ in range(FAILURES - 1):
            await _hang_up(it, "pinned.example")
        it.clock.now += 10
        assert it.proxy.setup.recorder.alerts == []


async def test_who_says_one_host_and_means_another_is_decrypted(tmp_path: Path) -> None:
    async with site(tmp_path) as it:
        await _hang_up(it, "other.example", sni="bank.example")
        assert it.let_through("do_not_decrypt") == 0


async def _hang_up(it: Site, host: str, sni: str | None = None) -> None:
    """Shake hands as a client that trusts the proxy's CA, and close."""
    name, port = it.proxy.address.split(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname = False
    trust.load_verify_locations(cadata=it.proxy.ca)
    await writer.start_tls(trust, server_hostname=sni or host)
    writer.close()
    connections = ctx.master.addons.get("proxyserver").connections
    assert await until(lambda: not connections, 20)
