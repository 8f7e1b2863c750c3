"""What a real proxy stops, and what the endpoint is told."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from shared.adapters.role import SystemClock
from shared.core.policy import OnUninspected, Policy, Selectors
from shared.types import Action, Activity, ImageJudgement, Inquiry, Mode, Part, UninspectedReason
from tests.factories import make_policy
from tests.origins import Answer, Origin, TestAuthority, serve_origin
from tests.proxies import GatedJudge, KnowingJudge, RunningProxy, Setup, make_image, serve_proxy

HOST = "files.vendor.example"
SECRET = make_image(5000, protected=True)
PLAIN = make_image(5000)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One CA for all proxies of this module: making its key takes a while."""
    return tmp_path_factory.mktemp("data")


def incident_of(header: str) -> str:
    return header.split('incident="')[1].rstrip('"')


def no_uploads(**overrides: object) -> Policy:
    """A policy about the transfer itself."""
    when = Selectors(activities=frozenset({Activity.UPLOAD}))
    return make_policy(name="no-uploads", images=None, when=when, **overrides)


@pytest.mark.parametrize("http2", [False, True])
async def test_an_upload_is_blocked_with_problem_details(authority: TestAuthority, data_dir: Path, http2: bool) -> None:
    setup = Setup(policies=[make_policy()])
    async with serve_origin(None, authority.context(HOST)) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        async with (
            serve_proxy(setup, data_dir, resolve=resolve, upstream_ca=authority.file) as proxy,
            proxy.client(http2=http2) as client,
        ):
            blocked = await client.post(f"https://{HOST}/upload", content=SECRET)
            passed = await client.post(f"https://{HOST}/upload", content=PLAIN)
    assert (blocked.status_code, passed.status_code) == (403, 200)
    assert blocked.headers["content-type"] == "application/problem+json"
    assert blocked.headers["cache-control"] == "no-store"
    assert blocked.headers["x-safelight"].startswith('block; policy="no-design-leaves"; incident="')
    (alert,) = setup.recorder.alerts
    assert incident_of(blocked.headers["x-safelight"]) == alert.incident == blocked.json()["incident"]
    assert (alert.url, alert.method, alert.enforced) == (f"https://{HOST}/upload", "POST", Action.BLOCK)
    assert alert.context.actor.ip == "127.0.0.1"
    assert [seen.body for seen in origin.seen] == [PLAIN]


async def test_a_page_and_a_picture_are_answered_in_kind(data_dir: Path) -> None:
    setup = Setup(policies=[make_policy()])
    async with (
        serve_origin(lambda _: Answer(body=SECRET, media_type="image/png")) as origin,
        serve_proxy(setup, data_dir) as proxy,
        proxy.client() as client,
    ):
        url = f"http://127.0.0.1:{origin.port}/"
        page = await client.get(url, headers={"sec-fetch-dest": "document"})
        picture = await client.get(url, headers={"sec-fetch-dest": "image"})
        head = await client.head(url)
    assert (page.status_code, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert picture.content.startswith(b"\x89PNG")
    assert (int.from_bytes(picture.content[16:20]), int.from_bytes(picture.content[20:24])) == (1280, 853)
    assert head.status_code == 200
    assert len(setup.recorder.alerts) == 2


def multipart(image: bytes) -> tuple[dict[str, str], bytes]:
    body = (
        b'--cut\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="pump.png"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + image + b"\r\n--cut--\r\n"
    )
    return {"content-type": "multipart/form-data; boundary=cut"}, body


def packed(image: bytes) -> tuple[dict[str, str], bytes]:
    return {"content-encoding": "gzip"}, gzip.compress(image)


def in_json(image: bytes) -> tuple[dict[str, str], bytes]:
    text = "data:image/png;base64," + base64.b64encode(image).decode()
    return {"content-type": "application/json"}, json.dumps({"messages": [{"image": text}]}).encode()


@pytest.mark.parametrize("wrap", [multipart, packed, in_json], ids=["multipart", "gzip", "data URI in JSON"])
async def test_images_are_found_inside_bodies(data_dir: Path, wrap: object) -> None:
    assert callable(wrap)
    setup = Setup(policies=[make_policy()])
    async with (
        serve_origin() as origin,
        serve_proxy(setup, data_dir) as proxy,
        proxy.client() as client,
    ):
        url = f"http://127.0.0.1:{origin.port}/"
        (bad_headers, bad), (headers, good) = wrap(SECRET), wrap(PLAIN)
        blocked = await client.post(url, content=bad, headers=bad_headers)
        passed = await client.post(url, content=good, headers=headers)
    assert (blocked.status_code, passed.status_code) == (403, 200)
    assert [seen.body for seen in origin.seen] == [good]


class LateJudge(KnowingJudge):
    """Keeps when it was asked, and until when it could have answered."""

    def __init__(self, delay: float) -> None:
        super().__init__(delay)
        self.deadlines: list[tuple[float, float]] = []

    async def verdicts(self, parts: Sequence[Part], inquiry: Inquiry) -> list[ImageJudgement]:
        self.deadlines.append((SystemClock().monotonic(), inquiry.deadline))
        return await super().verdicts(parts, inquiry)


async def test_monitor_mode_records_and_does_not_delay(data_dir: Path) -> None:
    judge = GatedJudge()
    setup = Setup(policies=[make_policy(mode=Mode.MONITOR, deadline_ms=60_000)], judge=judge)
    async with (
        serve_origin(lambda seen: Answer(body=seen.body)) as origin,
        serve_proxy(setup, data_dir) as proxy,
        proxy.client() as client,
    ):
        url = f"http://127.0.0.1:{origin.port}/"
        response = await client.post(url, content=SECRET)
        assert not judge.gate.is_set(), "the reply came before the verdict"
        assert not setup.recorder.alerts
        judge.gate.set()
    assert (response.status_code, response.content) == (200, SECRET)
    # Both ways; written after the reply, by the time that the proxy has stopped.
    assert [alert.enforced for alert in setup.recorder.alerts] == [Action.ALLOW, Action.ALLOW]
    assert {alert.finding.mode for alert in setup.recorder.alerts} == {Mode.MONITOR}


@pytest.mark.parametrize(("action", "status"), [(Action.ALLOW, 200), (Action.BLOCK, 403)])
async def test_a_late_verdict_is_not_waited_for(data_dir: Path, action: Action, status: int) -> None:
    judge = LateJudge(delay=60.0)
    policy = make_policy(deadline_ms=200, on_uninspected=OnUninspected(default=action))
    setup = Setup(policies=[policy], judge=judge)
    clock = SystemClock()
    async with (
        serve_origin() as origin,
        serve_proxy(setup, data_dir) as proxy,
        proxy.client() as client,
    ):
        begun = clock.monotonic()
        response = await client.post(f"http://127.0.0.1:{origin.port}/", content=SECRET)
    ((asked, deadline),) = judge.deadlines
    assert response.status_code == status
    assert begun + 0.2 <= deadline <= asked + 0.2, "counted from when the request was there"
    assert setup.recorder.alerts[0].finding.kind == "uninspected"


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(65536)


async def raw_request(proxy: RunningProxy, head: str, body: bytes = b"") -> bytes:
    """Send a request by hand and return the head of the answer."""
    host, port = proxy.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.replace("\n", "\r\n").encode() + body)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    writer.close()
    return answer


async def refused_origin(origin: Origin) -> None:
    assert origin.seen == []
    assert origin.connections == 0


async def test_a_transfer_policy_is_decided_on_the_head(data_dir: Path) -> None:
    """The body is neither waited for nor asked for, and the origin not even connected to."""
    setup = Setup(policies=[no_uploads()])
    async with serve_origin() as origin, serve_proxy(setup, data_dir) as proxy:
        target = f"http://127.0.0.1:{origin.port}/"
        unsent = await raw_request(proxy, f"POST {target} HTTP/1.1\nHost: x\nContent-Length: 900000\n\n")
        expecting = await raw_request(
            proxy, f"PUT {target} HTTP/1.1\nHost: x\nContent-Length: 900000\nExpect: 100-continue\n\n"
        )
        await refused_origin(origin)
    assert unsent.startswith(b"HTTP/1.1 403 ")
    assert expecting.startswith(b"HTTP/1.1 403 ")
    assert len(setup.recorder.alerts) == 2


@pytest.mark.parametrize("http2", [False, True])
async def test_after_a_refusal_on_the_head_the_connection_goes_on(
    authority: TestAuthority, data_dir: Path, http2: bool
) -> None:
    setup = Setup(policies=[no_uploads()])
    async with serve_origin(None, authority.context(HOST)) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        async with (
            serve_proxy(setup, data_dir, resolve=resolve, upstream_ca=authority.file) as proxy,
            proxy.client(http2=http2) as client,
        ):
            for _ in range(3):
                assert (await client.post(f"https://{HOST}/", content=bytes(300_000))).status_code == 403
                assert (await client.get(f"https://{HOST}/")).status_code == 200
            assert proxy.addon.in_flight == 0
    assert [seen.method for seen in origin.seen] == ["GET"] * 3


async def test_a_forbidden_download_is_never_asked_for(data_dir: Path) -> None:
    when = Selectors(activities=frozenset({Activity.DOWNLOAD}))
    setup = Setup(policies=[make_policy(name="no-downloads", images=None, when=when)])
    async with serve_origin() as origin, serve_proxy(setup, data_dir) as proxy, proxy.client() as client:
        response = await client.get(f"http://127.0.0.1:{origin.port}/")
        await refused_origin(origin)
    assert response.status_code == 403


@pytest.mark.parametrize("declared", [True, False], ids=["length declared", "length unknown"])
@pytest.mark.parametrize("direction", ["upload", "download"])
async def test_too_large_is_blocked_where_a_policy_says_so(data_dir: Path, declared: bool, direction: str) -> None:
    policy = make_policy(on_uninspected=OnUninspected(by_reason={UninspectedReason.TOO_LARGE: Action.BLOCK}))
    setup = Setup(policies=[policy], max_object=100_000)
    large = make_image(3_000_000)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 50_000):
            yield large[start : start + 50_000]

    body = Answer(body=large, media_type="image/png", chunked=not declared)
    async with (
        serve_origin(lambda _: body if direction == "download" else Answer()) as origin,
        serve_proxy(setup, data_dir) as proxy,
        proxy.client() as client,
    ):
        url = f"http://127.0.0.1:{origin.port}/"
        if direction == "download":
            response = await client.get(url)
        else:
            response = await client.post(url, content=large if declared else chunks())
        assert (await client.get(url + "small")).status_code == (403 if direction == "download" else 200)
        assert proxy.addon.in_flight == 0
    assert response.status_code == 403
    assert response.json()["reason"]
    assert all(seen.body == b"" for seen in origin.seen)
