"""What passes a real proxy passes byte for byte, over HTTP/1.1 and HTTP/2, plain and TLS."""

from __future__ import annotations

import gc
import gzip
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from mitmproxy.connection import Server

from shared.core.policy import Policy
from shared.types import Direction
from tests.factories import make_policy
from tests.origins import Answer, Seen, TestAuthority, serve_origin
from tests.proxies import Setup, make_image, serve_proxy

HOST = "files.vendor.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One CA for all proxies of this module: making its key takes a while."""
    return tmp_path_factory.mktemp("data")


def echo_digest(seen: Seen) -> Answer:
    return Answer(body=hashlib.sha256(seen.body).hexdigest().encode())


@pytest.mark.parametrize("policies", [(), (make_policy(),)], ids=["no policy", "inspected"])
@pytest.mark.parametrize("size", [0, 2000, 700_000], ids=["empty", "small", "in pieces"])
@pytest.mark.parametrize(("client_http2", "origin_http2"), [(False, False), (True, False), (True, True)])
async def test_bodies_pass_unchanged_both_ways(
    authority: TestAuthority,
    data_dir: Path,
    policies: tuple[Policy, ...],
    size: int,
    client_http2: bool,
    origin_http2: bool,
) -> None:
    body = make_image(size) if size else b""
    tls = authority.context(HOST, http2=origin_http2)
    async with serve_origin(lambda seen: Answer(body=seen.body, media_type="image/png"), tls) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        setup = Setup(policies=policies)
        async with (
            serve_proxy(setup, data_dir, resolve=resolve, upstream_ca=authority.file) as proxy,
            proxy.client(http2=client_http2) as client,
        ):
            response = await client.post(f"https://{HOST}/a?b=c%20d", content=body, headers={"x-mine": "kept"})
    assert (response.status_code, response.content) == (200, body)
    assert response.http_version == ("HTTP/2" if client_http2 else "HTTP/1.1")
    assert "x-safelight" not in response.headers
    (seen,) = origin.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/a?b=c%20d", body)
    assert (seen.http, seen.header("x-mine"), seen.sni) == ("2" if origin_http2 else "1.1", "kept", HOST)
    assert seen.header("host") == HOST
    assert bool(setup.judge.asked) == bool(policies and size)
    assert proxy.addon.in_flight == 0


async def test_plain_http_and_chunked_uploads(data_dir: Path) -> None:
    body = make_image(300_000)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7777):
            yield body[start : start + 7777]

    async with serve_origin(lambda seen: Answer(body=seen.body, chunked=True)) as origin:
        setup = Setup(policies=[make_policy()])
        async with serve_proxy(setup, data_dir) as proxy, proxy.client() as client:
            response = await client.put(f"http://127.0.0.1:{origin.port}/file", content=chunks())
    assert response.content == body
    assert origin.seen[0].header("transfer-encoding") == "chunked"
    assert origin.seen[0].body == body
    assert len(setup.judge.asked) == 2  # the upload, and the same picture coming back


async def test_compressed_responses_stay_compressed(data_dir: Path) -> None:
    packed = gzip.compress(make_image(50_000), mtime=0)

    def answer(seen: Seen) -> Answer:
        return Answer(body=packed, media_type="image/png", headers=(("content-encoding", "gzip"),))

    async with serve_origin(answer) as origin:
        setup = Setup(policies=[make_policy()])
        async with serve_proxy(setup, data_dir) as proxy, proxy.client() as client:
            request = client.build_request("GET", f"http://127.0.0.1:{origin.port}/")
            response = await client.send(request, stream=True)
            raw = b"".join([piece async for piece in response.aiter_raw()])
            await response.aclose()
    assert raw == packed
    assert setup.judge.asked[0].data == make_image(50_000)


async def test_many_requests_share_connections_where_names_are_resolved(
    authority: TestAuthority, data_dir: Path
) -> None:
    async with serve_origin(echo_digest, authority.context(HOST, http2=False)) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        async with (
            serve_proxy(Setup(), data_dir, resolve=resolve, upstream_ca=authority.file) as proxy,
            proxy.client() as client,
        ):
            for _ in range(3):
                assert (await client.get(f"https://{HOST}/")).status_code == 200
    assert [seen.connection for seen in origin.seen] == [1, 1, 1]


def connections_to_origins() -> int:
    gc.collect()
    return sum(type(each) is Server for each in gc.get_objects())


async def test_of_the_connections_to_an_origin_without_http2_the_last_ones_are_kept(
    authority: TestAuthority, data_dir: Path
) -> None:
    """Of these each request has its own; the layer inside the client's tunnel knows them, and the one around it."""
    async with serve_origin(echo_digest, authority.context(HOST, http2=False)) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        async with (
            serve_proxy(
                Setup(policies=[make_policy()]), data_dir, resolve=resolve, upstream_ca=authority.file
            ) as proxy,
            proxy.client(http2=True) as client,
        ):
            before = connections_to_origins()
            for _ in range(20):
                response = await client.post(f"https://{HOST}/", content=make_image())
                assert (response.http_version, response.status_code) == ("HTTP/2", 200)
            kept = connections_to_origins() - before
    assert len({seen.connection for seen in origin.seen}) == 20
    assert kept <= 4


async def test_tls_is_verified_for_the_name_that_was_asked_for(authority: TestAuthority, data_dir: Path) -> None:
    async with serve_origin(None, authority.context("other.example")) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        async with (
            serve_proxy(Setup(), data_dir, resolve=resolve, upstream_ca=authority.file) as proxy,
            proxy.client() as client,
        ):
            response = await client.get(f"https://{HOST}/")
    assert response.status_code == 502
    assert origin.seen == []


async def test_an_unknown_authority_is_refused(authority: TestAuthority, data_dir: Path) -> None:
    async with serve_origin(None, authority.context(HOST)) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        async with serve_proxy(Setup(), data_dir, resolve=resolve) as proxy, proxy.client() as client:
            assert (await client.get(f"https://{HOST}/")).status_code == 502
    assert origin.seen == []


@pytest.mark.parametrize("http2", [False, True])
async def test_debug_headers_mark_what_was_inspected_and_passed(
    authority: TestAuthority, data_dir: Path, http2: bool
) -> None:
    async with (
        serve_origin(None, authority.context(HOST)) as origin,
        serve_proxy(
            Setup(policies=[make_policy()]),
            data_dir,
            resolve={f"{HOST}:443": f"127.0.0.1:{origin.port}"},
            upstream_ca=authority.file,
            debug_headers=True,
        ) as proxy,
        proxy.client(http2=http2) as client,
    ):
        response = await client.post(f"https://{HOST}/", content=make_image())
    assert response.headers["x-safelight"] == "allow"


async def test_an_unknown_length_past_the_limit_is_streamed(data_dir: Path) -> None:
    body = os.urandom(400_000)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    def answer(seen: Seen) -> Answer:
        return Answer(body=seen.body, media_type="application/octet-stream", chunked=True)

    async with serve_origin(answer) as origin:
        setup = Setup(policies=[make_policy()], max_object=100_000)
        async with serve_proxy(setup, data_dir) as proxy, proxy.client() as client:
            response = await client.post(f"http://127.0.0.1:{origin.port}/", content=chunks())
    assert response.content == body
    assert origin.seen[0].body == body
    assert setup.metrics.value("safelight_proxy_uninspected_total", reason="too_large") == 2
    assert [alert.finding.kind for alert in setup.recorder.alerts] == ["uninspected", "uninspected"]
    assert setup.metrics.value("safelight_proxy_messages_total", direction=Direction.INBOUND, outcome="streamed") == 1


async def test_a_client_that_leaves_stops_the_waiting(data_dir: Path) -> None:
    async with serve_origin() as origin:
        setup = Setup(policies=[make_policy(deadline_ms=60_000)])
        setup.judge.delay = 60.0
        async with serve_proxy(setup, data_dir) as proxy, proxy.client() as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post(f"http://127.0.0.1:{origin.port}/", content=make_image(), timeout=0.5)
            await client.aclose()
            async with proxy.client() as another:
                assert (await another.get(f"http://127.0.0.1:{origin.port}/")).status_code == 200
            assert proxy.addon.in_flight == 0
    assert [seen.method for seen in origin.seen] == ["GET"]
