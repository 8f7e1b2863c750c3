"""Redaction and coaching as clients of a real proxy meet them."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from proxy_addon.coaching.addon import CoachPage
from proxy_addon.responses.pages import COACH_PATH
from shared.core.policy import Policy, Selectors
from shared.errors import RedactionError, RedactionRefusal
from shared.types import Action, Activity, Direction, Part, RedactionOrder
from tests.factories import make_policy
from tests.origins import Answer, Origin, TestAuthority, serve_origin
from tests.proxies import MARK, RunningProxy, Setup, make_image, serve_proxy

HOST = "files.vendor.example"
SECRET, PLAIN = make_image(5000, protected=True), make_image(3000)
CLEAN = SECRET.replace(MARK, b"[black box]")
REDACT = make_policy(action=Action.REDACT, when=Selectors(direction=frozenset({Direction.OUTBOUND})))
COACH = make_policy(name="ask", action=Action.COACH, when=Selectors(direction=frozenset({Direction.OUTBOUND})))


class MarkRemover:
    """Takes the mark out of an image."""

    async def redact(self, part: Part, order: RedactionOrder, deadline: float) -> bytes:
        return part.data.replace(MARK, b"[black box]")


class Refuser:
    """Cannot obscure anything."""

    async def redact(self, part: Part, order: RedactionOrder, deadline: float) -> bytes:
        raise RedactionError(RedactionRefusal.UNSUPPORTED_FORMAT, "AVIF")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@asynccontextmanager
async def proxy_and_origin(
    setup: Setup, authority: TestAuthority, data_dir: Path, answer: Answer | None = None
) -> AsyncIterator[tuple[RunningProxy, Origin]]:
    respond = None if answer is None else (lambda _: answer)
    async with serve_origin(respond, authority.context(HOST)) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        page = CoachPage(setup.coaching(), setup.failsafe())
        async with serve_proxy(setup, data_dir, resolve=resolve, upstream_ca=authority.file, before=[page]) as proxy:
            yield proxy, origin


def multipart(image: bytes) -> tuple[dict[str, str], bytes]:
    part = b'Content-Disposition: form-data; name="f"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    body = b"--cut\r\n" + part + image + b"\r\n--cut--\r\n"
    return {"content-type": "multipart/form-data; boundary=cut"}, body


def in_json(image: bytes) -> tuple[dict[str, str], bytes]:
    text = "data:image/png;base64," + base64.b64encode(image).decode()
    return {"content-type": "application/json"}, json.dumps({"image": text}).encode()


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("wrap", [lambda image: ({}, image), multipart, in_json], ids=["raw", "form", "JSON"])
async def test_an_upload_arrives_redacted(authority: TestAuthority, data_dir: Path, http2: bool, wrap: object) -> None:
    assert callable(wrap)
    setup = Setup(policies=[REDACT], obscurer=MarkRemover())
    headers, body = wrap(SECRET)
    async with (
        proxy_and_origin(setup, authority, data_dir) as (proxy, origin),
        proxy.client(http2=http2) as client,
    ):
        reply = await client.post(f"https://{HOST}/upload", content=body, headers=headers)
        passed = await client.post(f"https://{HOST}/upload", content=wrap(PLAIN)[1], headers=headers)
    assert [seen.body for seen in origin.seen] == [wrap(CLEAN)[1], wrap(PLAIN)[1]]
    assert (reply.status_code, passed.status_code) == (200, 200)
    (alert,) = setup.recorder.alerts
    assert alert.enforced is Action.REDACT
    assert reply.headers["x-safelight"] == f'redact; policy="no-design-leaves"; incident="{alert.incident}"'
    assert reply.headers["cache-control"] == "no-store"
    assert "x-safelight" not in passed.headers


async def test_a_chunked_and_packed_upload_arrives_redacted(authority: TestAuthority, data_dir: Path) -> None:
    setup = Setup(policies=[REDACT], obscurer=MarkRemover())

    async def chunks() -> AsyncIterator[bytes]:
        packed = gzip.compress(SECRET)
        for at in range(0, len(packed), 1000):
            yield packed[at : at + 1000]

    async with proxy_and_origin(setup, authority, data_dir) as (proxy, origin), proxy.client() as client:
        await client.post(f"https://{HOST}/upload", content=chunks(), headers={"content-encoding": "gzip"})
    (seen,) = origin.seen
    assert seen.body == CLEAN
    assert "content-encoding" not in dict(seen.headers)


@pytest.mark.parametrize("http2", [False, True])
async def test_a_download_arrives_redacted(authority: TestAuthority, data_dir: Path, http2: bool) -> None:
    setup = Setup(policies=[make_policy(action=Action.REDACT)], obscurer=MarkRemover())
    answer = Answer(body=SECRET, media_type="image/png", headers=(("etag", '"1"'),))
    async with (
        proxy_and_origin(setup, authority, data_dir, answer) as (proxy, _),
        proxy.client(http2=http2) as client,
    ):
        reply = await client.get(f"https://{HOST}/picture")
    assert (reply.status_code, reply.content) == (200, CLEAN)
    assert reply.headers["content-length"] == str(len(CLEAN))
    assert reply.headers["x-safelight"].startswith("redact; ")
    assert reply.headers["cache-control"] == "no-store"
    assert "etag" not in reply.headers


@pytest.mark.parametrize(
    ("headers", "obscurer", "reason"),
    [
        ({}, Refuser(), "unsupported_format"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, MarkRemover(), "signed_body"),
        ({"content-range": "bytes 0-9/10"}, MarkRemover(), "upload_session"),
    ],
)
async def test_what_cannot_be_redacted_is_blocked(
    authority: TestAuthority, data_dir: Path, headers: dict[str, str], obscurer: MarkRemover | Refuser, reason: str
) -> None:
    setup = Setup(policies=[REDACT], obscurer=obscurer)
    async with proxy_and_origin(setup, authority, data_dir) as (proxy, origin), proxy.client() as client:
        reply = await client.post(f"https://{HOST}/upload", content=SECRET, headers=headers)
    assert (reply.status_code, reply.json()["note"]) == (403, f"not redacted: {reason}")
    assert reply.headers["x-safelight"].startswith("block; ")
    (alert,) = setup.recorder.alerts
    assert (alert.enforced, alert.finding.note) == (Action.BLOCK, f"not redacted: {reason}")
    assert origin.seen == []
    tried = reason != "upload_session"  # known from the request's place in an upload, before anything is tried
    assert setup.metrics.value("safelight_proxy_redactions_total", outcome=reason) == tried


async def post_reason(client: httpx.AsyncClient, place: str, reason: str = "for the tender") -> httpx.Response:
    page = await client.get(place)
    assert page.status_code == 200
    ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert ticket is not None
    return await client.post(f"https://{HOST}{COACH_PATH}", data={"ticket": ticket[1], "reason": reason})


@pytest.mark.parametrize("http2", [False, True])
async def test_a_reason_lets_the_image_through(authority: TestAuthority, data_dir: Path, http2: bool) -> None:
    setup = Setup(policies=[COACH])
    async with (
        proxy_and_origin(setup, authority, data_dir) as (proxy, origin),
        proxy.client(http2=http2) as client,
    ):
        url = f"https://{HOST}/upload"
        stopped = await client.post(url, content=SECRET)
        assert (stopped.status_code, origin.seen) == (403, [])
        assert stopped.headers["x-safelight"].startswith('coach; policy="ask"; ')
        assert (await post_reason(client, stopped.json()["justify"])).status_code == 200
        assert origin.seen == [], "the page is the proxy's own"
        passed = await client.post(url, content=SECRET)
        other = await client.post(url, content=SECRET + b"x")
    assert (passed.status_code, other.status_code) == (200, 403)
    assert [seen.body for seen in origin.seen] == [SECRET]
    first, second, third = setup.recorder.alerts
    assert [alert.enforced for alert in (first, second, third)] == [Action.COACH, Action.ALLOW, Action.COACH]
    assert (second.finding.kind, second.finding.justification) == ("justified", "for the tender")
    assert first.incident in second.finding.note


async def test_a_reason_for_a_transfer_without_images(authority: TestAuthority, data_dir: Path) -> None:
    policy: Policy = make_policy(
        name="ask", action=Action.COACH, images=None, when=Selectors(activities=frozenset({Activity.UPLOAD}))
    )
    setup = Setup(policies=[policy])
    async with proxy_and_origin(setup, authority, data_dir) as (proxy, origin), proxy.client() as client:
        stopped = await client.post(f"https://{HOST}/upload", content=PLAIN)
        await post_reason(client, stopped.json()["justify"])
        passed = await client.post(f"https://{HOST}/upload", content=PLAIN)
        elsewhere = await client.post(f"https://{HOST}/other", content=PLAIN)
    assert (stopped.status_code, passed.status_code, elsewhere.status_code) == (403, 200, 403)
    assert len(origin.seen) == 1


async def test_the_page_takes_no_large_body(authority: TestAuthority, data_dir: Path) -> None:
    setup = Setup(policies=[COACH])
    async with proxy_and_origin(setup, authority, data_dir) as (proxy, origin), proxy.client() as client:
        reply = await client.post(f"https://{HOST}{COACH_PATH}", content=b"a=" + bytes(100_000))
        unknown = await client.get(f"https://{HOST}{COACH_PATH}?ticket=x")
    assert (reply.status_code, unknown.status_code, origin.seen) == (413, 403, [])


async def test_a_blocked_fetch_of_another_origin_can_be_read(authority: TestAuthority, data_dir: Path) -> None:
    policy = make_policy(name="no-uploads", images=None, when=Selectors(activities=frozenset({Activity.UPLOAD})))
    setup = Setup(policies=[policy])
    script = {"origin": "https://app.example", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}
    asked = {"access-control-request-method": "PUT", "access-control-request-headers": "content-type"}
    async with proxy_and_origin(setup, authority, data_dir) as (proxy, origin), proxy.client() as client:
        admitted = await client.options(f"https://{HOST}/upload", headers={**script, **asked})
        refused = await client.put(f"https://{HOST}/upload", content=PLAIN, headers=script)
    assert (admitted.status_code, refused.status_code, origin.seen) == (204, 403, [])
    assert admitted.headers["access-control-allow-methods"] == "PUT"
    for reply in (admitted, refused):
        assert reply.headers["access-control-allow-origin"] == "https://app.example"
    assert len(setup.recorder.alerts) == 1


async def test_a_grpc_client_gets_its_status(authority: TestAuthority, data_dir: Path) -> None:
    policy = make_policy(name="no-uploads", images=None, when=Selectors(activities=frozenset({Activity.UPLOAD})))
    setup = Setup(policies=[policy])
    async with proxy_and_origin(setup, authority, data_dir) as (proxy, _), proxy.client(http2=True) as client:
        reply = await client.post(
            f"https://{HOST}/pkg.Service/Put", content=b"\0\0\0\0\0", headers={"content-type": "application/grpc"}
        )
    assert (reply.http_version, reply.status_code, reply.headers["grpc-status"]) == ("HTTP/2", 200, "7")
    assert reply.content == b""
