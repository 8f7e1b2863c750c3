"""Every byte that comes is booked once: compared with what the client sent, and what the origin sent and got."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from mitmproxy.tls import ClientHelloData

from proxy_addon.runtime.waiting import until
from proxy_addon.tls.tunnels import Tunnels
from shared.core import coverage
from shared.core.policy import Policy, Selectors
from shared.types import Direction, Mode
from tests.balances import Balance, Bytes
from tests.factories import make_policy
from tests.origins import Answer, Origin, Seen, TestAuthority, serve_origin
from tests.proxies import KnowingJudge, RunningProxy, Setup, make_image, serve_proxy

LIMIT = 64 << 10
KEY = base64.b64encode(bytes(16))
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
PICTURE = make_image(30_000)
PROTECTED = make_image(30_000, protected=True)
LARGE = make_image(LIMIT)
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
ACCEPT = base64.b64encode(hashlib.sha1(KEY + MAGIC, usedforsecurity=False).digest())
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
SWITCHING += b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
OUT, IN = Direction.OUTBOUND, Direction.INBOUND


class Ignore:
    """Lets the TLS of one host through."""

    def __init__(self, tunnels: Tunnels) -> None:
        self._tunnels = tunnels

    def tls_clienthello(self, data: ClientHelloData) -> None:
        if data.client_hello.sni == "bank.example":
            self._tunnels.let_through(data.context.client, data.context.server, coverage.DO_NOT_DECRYPT)
            data.ignore_connection = True


@dataclass
class Site:
    """A proxy, an origin with TLS and one without, and raw servers that count."""

    proxy: RunningProxy
    tls: Origin
    plain: Origin
    client_sent: int = 0
    raw_got: int = 0
    raw_sent: int = 0
    _servers: list[asyncio.Server] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.plain.port}"

    def origin_got(self) -> int:
        return self.raw_got + sum(len(seen.body) for seen in (*self.plain.seen, *self.tls.seen))

    def origin_sent(self) -> int:
        seen = [(self.plain, each) for each in self.plain.seen] + [(self.tls, each) for each in self.tls.seen]
        return self.raw_sent + sum(len(origin.answer(each).body) for origin, each in seen if each.method != "HEAD")

    async def raw_origin(self, answer: bytes, *, counted: int, patience: int = 1 << 30) -> int:
        """Listen; send ``answer`` (``counted`` bytes of it are body) once the head is there, then read and count."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                self.raw_sent += counted
                await writer.drain()
                if not patience:
                    writer.close()
                while data := await reader.read(65536):
                    self.raw_got += len(data)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.proxy.address.split(":")
        return await asyncio.open_connection(host, int(port))

    async def settled(self) -> Bytes:
        """Return bytes by direction and reason, once none is on its way."""
        return await Balance(self.proxy.setup).settled()

    def received(self, direction: Direction) -> int:
        return Balance(self.proxy.setup).received(direction)

    def end(self) -> None:
        for server in self._servers:
            server.close()


@asynccontextmanager
async def site(
    folder: Path,
    *policies: Policy,
    answer: Callable[[Seen], Answer] | None = None,
    judge: KnowingJudge | None = None,
) -> AsyncIterator[Site]:
    setup = Setup(policies=policies, judge=judge or KnowingJudge(), max_object=LIMIT)
    authority = TestAuthority(folder)
    async with (
        serve_origin(answer, tls=authority.context("files.example", "bank.example")) as tls,
        serve_origin(answer) as plain,
    ):
        there = f"127.0.0.1:{tls.port}"
        resolve = {"files.example:443": there, "bank.example:443": there}
        tunnels = Tunnels(setup.ledger, setup.metrics)
        async with serve_proxy(
            setup, folder, resolve=resolve, upstream_ca=authority.file, before=[Ignore(tunnels)], tunnels=tunnels
        ) as proxy:
            running = Site(proxy, tls, plain)
            yield running
            running.end()


def blocking() -> Policy:
    return make_policy(when=Selectors(direction=frozenset({OUT})))


@pytest.mark.parametrize("http2", [False, True])
async def test_an_upload_that_passes_and_one_that_is_blocked(tmp_path: Path, *, http2: bool) -> None:
    async with site(tmp_path, blocking()) as it, it.proxy.client(http2=http2) as client:
        assert (await client.post("https://files.example/", content=PICTURE)).status_code == 200
        assert (await client.post("https://files.example/", content=PROTECTED)).status_code == 403
        booked = await it.settled()
        assert booked == {(OUT, "inspected"): len(PICTURE) + len(PROTECTED), (IN, "streamed"): len(b"received")}
        assert (it.origin_got(), it.origin_sent()) == (len(PICTURE), it.received(IN))


@pytest.mark.parametrize("http2", [False, True])
async def test_without_policies_all_is_streamed(tmp_path: Path, *, http2: bool) -> None:
    async with site(tmp_path) as it, it.proxy.client(http2=http2) as client:
        for content in (PICTURE, LARGE, b""):
            await client.post("https://files.example/", content=content)
        await client.head("https://files.example/")
        booked = await it.settled()
        assert booked == {(OUT, "streamed"): len(PICTURE) + len(LARGE), (IN, "streamed"): it.origin_sent()}
        assert it.origin_got() == it.received(OUT)


@pytest.mark.parametrize("http2", [False, True])
async def test_downloads(tmp_path: Path, *, http2: bool) -> None:
    def answer(seen: Seen) -> Answer:
        kinds = {
            "/picture": Answer(body=PROTECTED, media_type="image/png"),
            "/clean": Answer(body=PICTURE, media_type="image/png", chunked=True),
            "/large": Answer(body=LARGE, media_type="image/png"),
            "/unknown-large": Answer(body=LARGE + PICTURE, media_type="image/png", chunked=True),
            "/disguise": Answer(body=PICTURE, media_type="video/mp4"),
            "/video": Answer(body=b"\0\0\0\x18ftypmp42" * 999, media_type="video/mp4"),
        }
        return kinds[seen.target]

    policy = make_policy(when=Selectors(direction=frozenset({IN})))
    async with site(tmp_path, policy, answer=answer) as it, it.proxy.client(http2=http2) as client:
        paths = ("picture", "clean", "large", "unknown-large", "disguise", "video")
        statuses = [(await client.get(f"https://files.example/{path}")).status_code for path in paths]
        assert statuses == [403, 200, 200, 200, 200, 200]
        assert await it.settled() == {
            (IN, "inspected"): len(PROTECTED) + len(PICTURE),
            (IN, "too_large"): len(LARGE) * 2 + len(PICTURE),
            (IN, "opaque"): len(PICTURE),
            (IN, "streamed"): 12 * 999,
        }
        assert it.received(IN) == it.origin_sent()


async def test_what_is_only_watched_is_booked_when_it_is_judged(tmp_path: Path) -> None:
    policy = make_policy(mode=Mode.MONITOR, when=Selectors(direction=frozenset({OUT})))
    async with site(tmp_path, policy) as it, it.proxy.client() as client:
        await client.post(it.url, content=PROTECTED)
        booked = await it.settled()
        assert booked[OUT, "inspected"] == it.origin_got() == len(PROTECTED)


async def test_what_is_judged_too_late_has_failed(tmp_path: Path) -> None:
    policy = make_policy(when=Selectors(direction=frozenset({OUT})), deadline_ms=50)
    async with site(tmp_path, policy, judge=KnowingJudge(delay=1.0)) as it, it.proxy.client() as client:
        await client.post(it.url, content=PICTURE)
        assert (await it.settled())[OUT, "timeout"] == len(PICTURE)


@pytest.mark.parametrize("http2", [False, True])
async def test_an_upload_that_outgrows_the_limit(tmp_path: Path, *, http2: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 8192):
            yield LARGE[start : start + 8192]

    async with site(tmp_path, blocking()) as it, it.proxy.client(http2=http2) as client:
        assert (await client.post("https://files.example/", content=pieces())).status_code == 200
        assert (await it.settled())[OUT, "too_large"] == it.origin_got() == len(LARGE)


@pytest.mark.parametrize("http2", [False, True])
async def test_an_upload_refused_on_its_head_is_booked_to_its_last_byte(tmp_path: Path, *, http2: bool) -> None:
    policy = make_policy(images=None, when=Selectors(hosts=("files.example",), direction=frozenset({OUT})))
    async with site(tmp_path, policy) as it, it.proxy.client(http2=http2) as client:
        assert (await client.post("https://files.example/", content=LARGE)).status_code == 403
        if not http2:  # one that reads its answer first stops sending
            assert await it.settled() == {(OUT, "refused"): len(LARGE)}
        else:
            assert set(await it.settled()) == {(OUT, "refused")}
        assert it.tls.seen == []


async def test_a_refused_upload_on_a_plain_connection_that_stays_open(tmp_path: Path) -> None:
    policy = make_policy(images=None, when=Selectors(direction=frozenset({OUT})))
    async with site(tmp_path, policy) as it:
        reader, writer = await it.connect()
        for _ in range(2):
            writer.write(b"POST %b/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (it.url.encode(), len(LARGE)))
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 403 ")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await reader.readexactly(length)
            writer.write(LARGE)
        writer.close()
        assert await until(lambda: it.received(OUT) >= 2 * len(LARGE), 20)
        assert await it.settled() == {(OUT, "refused"): 2 * len(LARGE)}


@pytest.mark.parametrize(("policies", "reason"), [((), "streamed"), ((blocking(),), "aborted")])
async def test_a_client_that_breaks_off(tmp_path: Path, policies: tuple[Policy, ...], reason: str) -> None:
    async with site(tmp_path, *policies) as it:
        port = await it.raw_origin(b"", counted=0)
        _, writer = await it.connect()
        head = f"POST http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n"
        writer.write(head.encode() + PICTURE[:20_000])
        assert await until(lambda: it.received(OUT) >= 20_000, 20)
        writer.close()
        assert await it.settled() == {(OUT, reason): 20_000}
        if reason == "streamed":
            assert await until(lambda: it.raw_got >= 20_000, 20)
        assert it.raw_got == (20_000 if reason == "streamed" else 0)


@pytest.mark.parametrize(("kind", "reason"), [(b"font/woff2", "streamed"), (b"image/png", "aborted")])
async def test_an_origin_that_breaks_off(tmp_path: Path, kind: bytes, reason: str) -> None:
    async with site(tmp_path, make_policy()) as it, it.proxy.client() as client:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: 50000\r\n\r\n" % kind
        port = await it.raw_origin(head + PICTURE[:20_000], counted=20_000, patience=0)
        with suppress(httpx.HTTPError):
            await client.get(f"http://127.0.0.1:{port}/")
        assert await it.settled() == {(IN, reason): 20_000}
        assert it.raw_sent == it.received(IN)


async def test_a_tunnel_that_speaks_no_http(tmp_path: Path) -> None:
    async with site(tmp_path, make_policy()) as it:
        port = await it.raw_origin(b"\x00greeting", counted=9)
        reader, writer = await it.connect()
        writer.write(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % port)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x01\x02\x03\x04\r\n\r\n")
        assert await reader.readexactly(9) == b"\x00greeting"
        for _ in range(20):
            writer.write(bytes(10_000))
            await writer.drain()
        writer.close()
        assert await until(lambda: it.raw_got >= 200_000, 20)
        assert await it.settled() == {(OUT, "opaque"): 200_008, (IN, "opaque"): 9}


@pytest.mark.parametrize(("policies", "reason"), [((), "streamed"), ((make_policy(),), "inspected")])
async def test_messages_of_a_web_socket(tmp_path: Path, policies: tuple[Policy, ...], reason: str) -> None:
    text, reply = b"h" * 100, b"r" * 40
    sent = b"\x82" + bytes([0x80 | len(text)]) + bytes(4) + text  # a client masks, here with zeros (RFC 6455, 5.3)
    async with site(tmp_path, *policies) as it:
        port = await it.raw_origin(SWITCHING + b"\x82" + bytes([len(reply)]) + reply, counted=len(reply))
        reader, writer = await it.connect()
        writer.write(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % (port, port) + UPGRADE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(2 + len(reply)) == b"\x82" + bytes([len(reply)]) + reply
        writer.write(sent)
        assert await until(lambda: it.raw_got >= len(sent), 20)
        assert await it.settled() == {(OUT, reason): len(text), (IN, reason): len(reply)}
        assert (it.raw_got, it.raw_sent) == (len(sent), len(reply))
        writer.close()


async def test_tls_that_is_not_decrypted(tmp_path: Path) -> None:
    async with site(tmp_path, make_policy()) as it:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.load_verify_locations(tmp_path / "origins-ca.pem")
        counted = Counted(it)
        await counted.start()
        async with httpx.AsyncClient(proxy=f"http://{counted.address}", verify=trust, trust_env=False) as client:
            assert (await client.post("https://bank.example/", content=PROTECTED)).status_code == 200
        await counted.stop()
        booked = await it.settled()
        assert booked == {(OUT, "do_not_decrypt"): counted.up, (IN, "do_not_decrypt"): counted.down}
        assert it.tls.seen[0].body == PROTECTED
        assert booked[OUT, "do_not_decrypt"] > len(PROTECTED)


class Counted:
    """Stands between client and proxy and counts what passes inside the tunnel."""

    def __init__(self, there: Site) -> None:
        self._there = there
        self._server: asyncio.Server | None = None
        self.address = ""
        self.up = self.down = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await self._there.connect()
        far_writer.write(await reader.readuntil(b"\r\n\r\n"))
        writer.write(await far_reader.readuntil(b"\r\n\r\n"))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool) -> None:
            with suppress(ConnectionError):
                while data := await source.read(65536):
                    if up:
                        self.up += len(data)
                    else:
                        self.down += len(data)
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, far_writer, up=True), pump(far_reader, writer, up=False))
