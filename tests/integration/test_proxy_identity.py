"""Who sends, through a running proxy: passwords, addresses, load balancers in front."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest

from proxy_addon.identity.setup import Senders
from shared.config import Settings
from shared.core.policy import Selectors
from shared.types import Actor
from tests.factories import make_policy
from tests.origins import Origin, TestAuthority, serve_origin
from tests.proxies import RunningProxy, Setup, make_image, serve_proxy

DIRECTORY = """
[[network]]
networks = ["127.0.0.0/8"]
device = "desk-1"
[[network]]
networks = ["192.0.2.7"]
user = "carol"
device = "laptop-17"
[groups]
design = ["alice", "carol"]
"""


@asynccontextmanager
async def serve(
    folder: Path, *, proxy: dict[str, Any] | None = None, passwords: bool = False, **identity: Any
) -> AsyncIterator[tuple[RunningProxy, Origin]]:
    """A proxy that blocks protected images and so records who sent them."""
    (folder / "directory.toml").write_text(DIRECTORY)
    if passwords:
        hashed = bcrypt.hashpw(b"open:sesame", bcrypt.gensalt(4)).decode()
        (folder / "htpasswd").write_text(f"alice:{hashed}\n")
        identity["htpasswd"] = folder / "htpasswd"
    setup = Setup(policies=[make_policy()])
    values = {"proxy": proxy or {}, "identity": {"directory": folder / "directory.toml", **identity}}
    senders = Senders(Settings.model_validate(values), setup.failsafe(), setup.clock, setup.metrics)
    authority = TestAuthority(folder)
    async with (
        serve_origin(tls=authority.context("files.example")) as origin,
        serve_proxy(
            setup,
            folder,
            resolve={"files.example:443": f"127.0.0.1:{origin.port}"},
            upstream_ca=authority.file,
            before=[senders.addon],
        ) as running,
    ):
        yield running, origin


def client(proxy: RunningProxy, credentials: str = "") -> httpx.AsyncClient:
    made = proxy.client()
    if not credentials:
        return made
    import ssl

    trust = ssl.create_default_context(cadata=proxy.ca)
    return httpx.AsyncClient(
        proxy=httpx.Proxy(f"http://{proxy.address}", auth=tuple(credentials.split(":", 1))),  # type: ignore[arg-type]
        verify=trust,
        trust_env=False,
        timeout=20.0,
    )


def sender(proxy: RunningProxy) -> Actor:
    return proxy.setup.recorder.alerts[-1].context.actor


async def test_a_tunnel_is_asked_once_and_knows_its_user_from_then_on(tmp_path: Path) -> None:
    async with serve(tmp_path, passwords=True) as (proxy, origin), client(proxy, "alice:open:sesame") as http:
        assert (await http.get("https://files.example/")).status_code == 200
        blocked = await http.post("https://files.example/", content=make_image(protected=True))
        assert blocked.status_code == 403
        assert sender(proxy) == Actor(ip="127.0.0.1", user="alice", groups=("design",), device="desk-1")
        assert origin.seen[0].header("proxy-authorization") == ""
        assert proxy.setup.metrics.value("safelight_proxy_authentications_total", outcome="accepted") == 1


@pytest.mark.parametrize("credentials", ["", "alice:wrong", "mallory:open:sesame"])
async def test_without_the_right_password_no_tunnel_opens(tmp_path: Path, credentials: str) -> None:
    async with serve(tmp_path, passwords=True) as (proxy, origin), client(proxy, credentials) as http:
        with pytest.raises(httpx.ProxyError, match="407"):
            await http.get("https://files.example/")
        assert origin.seen == []


async def test_a_plain_request_is_asked_each_time(tmp_path: Path) -> None:
    async with serve(tmp_path, passwords=True) as (proxy, _), serve_origin() as plain:
        url = f"http://127.0.0.1:{plain.port}/"
        async with client(proxy) as http:
            refused = await http.post(url, content=make_image())
            assert refused.status_code == 407
            assert refused.headers["proxy-authenticate"] == 'Basic realm="Safelight", charset="UTF-8"'
            token = "Basic " + base64.b64encode(b"alice:open:sesame").decode()
            assert (
                await http.post(url, content=make_image(), headers={"Proxy-Authorization": token})
            ).status_code == 200
            assert (await http.get(url)).status_code == 407
        assert [seen.header("proxy-authorization") for seen in plain.seen] == [""]
        assert proxy.addon.in_flight == 0


async def test_credentials_inside_a_tunnel_stay_here(tmp_path: Path) -> None:
    async with serve(tmp_path, passwords=True) as (proxy, origin), client(proxy, "alice:open:sesame") as http:
        await http.get("https://files.example/", headers={"Proxy-Authorization": "Basic c2VjcmV0OnNlY3JldA=="})
        assert origin.seen[0].header("proxy-authorization") == ""


async def test_a_user_of_a_policy_is_the_one_the_directory_names(tmp_path: Path) -> None:
    async with serve(tmp_path, proxy={"trusted_proxies": ["127.0.0.1"]}) as (proxy, _), proxy.client() as http:
        proxy.setup.policies = [make_policy(when=Selectors(groups=("design",)))]
        async with serve_origin() as plain:
            url = f"http://127.0.0.1:{plain.port}/"
            protected = make_image(protected=True)
            assert (await http.post(url, content=protected)).status_code == 200
            forwarded = {"X-Forwarded-For": "203.0.113.1, 192.0.2.7"}
            assert (await http.post(url, content=protected, headers=forwarded)).status_code == 403
            assert sender(proxy) == Actor(ip="192.0.2.7", user="carol", groups=("design",), device="laptop-17")


async def test_what_trusted_proxies_add_is_not_passed_on_and_what_others_say_is_not_believed(tmp_path: Path) -> None:
    said = {"X-Forwarded-For": "192.0.2.7", "X-Device": "agent-9"}
    settings: dict[str, Any] = {"device_header": "X-Device"}
    for trusted, believed in ((["127.0.0.1"], True), ([], False)):
        folder = tmp_path / str(believed)
        folder.mkdir()
        async with serve(folder, proxy={"trusted_proxies": trusted}, **settings) as (proxy, _), serve_origin() as plain:
            async with proxy.client() as http:
                url = f"http://127.0.0.1:{plain.port}/"
                await http.post(url, content=make_image(protected=True), headers=said)
                await http.get(url, headers=said)
            passed_on = {name for name, _ in plain.seen[0].headers} & {"x-forwarded-for", "x-device"}
            assert passed_on == (set() if believed else {"x-forwarded-for", "x-device"})
            assert sender(proxy).ip == ("192.0.2.7" if believed else "127.0.0.1")
            assert sender(proxy).device == ("agent-9" if believed else "desk-1")


V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    + socket.inet_aton("192.0.2.7")
    + socket.inet_aton("192.0.2.1")
    + b"\x01\x02\x03\x04"
)


async def exchange(proxy: RunningProxy, *pieces: bytes) -> bytes:
    """Send pieces, one segment each, and read to the end."""
    host, port = proxy.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def upload(port: int) -> bytes:
    body = make_image(protected=True)
    head = (
        f"POST http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 8080\r\n", V2])
async def test_a_load_balancer_says_whose_connection_it_is(tmp_path: Path, header: bytes) -> None:
    trusted = {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True}
    async with serve(tmp_path, proxy=trusted) as (proxy, _), serve_origin() as plain:
        request = upload(plain.port)
        for pieces in ((header + request,), (header[:3], header[3:20], header[20:] + request), (header, request)):
            assert (await exchange(proxy, *pieces)).startswith(b"HTTP/1.1 403 ")
            assert sender(proxy).ip == "192.0.2.7"
            assert sender(proxy).user == "carol"


async def test_a_load_balancer_may_speak_for_itself(tmp_path: Path) -> None:
    trusted = {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True}
    async with serve(tmp_path, proxy=trusted) as (proxy, _), serve_origin() as plain:
        assert (await exchange(proxy, b"PROXY UNKNOWN\r\n" + upload(plain.port))).startswith(b"HTTP/1.1 403 ")
        assert sender(proxy).ip == "127.0.0.1"


@pytest.mark.parametrize("begin", [b"PROXY TCP4 nonsense\r\n", b"GET http://example/ HTTP/1.1\r\n\r\n", b""])
async def test_without_a_good_header_a_trusted_connection_is_closed(tmp_path: Path, begin: bytes) -> None:
    trusted = {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True}
    async with serve(tmp_path, proxy=trusted) as (proxy, _):
        host, port = proxy.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(begin)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        metrics = proxy.setup.metrics
        assert metrics.value("safelight_proxy_refused_connections_total", cause="proxy_header") == 1


async def test_a_header_from_somebody_else_is_not_believed(tmp_path: Path) -> None:
    trusted = {"trusted_proxies": ["10.0.0.0/8"], "proxy_protocol": True}
    async with serve(tmp_path, proxy=trusted) as (proxy, _), serve_origin() as plain:
        answer = await exchange(proxy, b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n" + upload(plain.port))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert plain.seen == []
