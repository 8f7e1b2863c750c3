"""A download that waits for its verdict keeps its client, and gives nothing away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from proxy_addon.responses.trickle import MAX_TRICKLED
from shared.core.policy import Policy
from shared.types import Action, Part
from tests.factories import make_policy
from tests.origins import Answer, TestAuthority, serve_origin
from tests.proxies import MARK, GatedJudge, Setup, make_image, serve_proxy

HOST = "files.vendor.example"
SECRET, PLAIN = make_image(50_000, protected=True), make_image(700_000)
PATIENT = make_policy(deadline_ms=60_000)


class MarkRemover:
    """Takes the mark out of an image."""

    async def redact(self, part: Part, order: object, deadline: float) -> bytes:
        return part.data.replace(MARK, b"[black box]")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@asynccontextmanager
async def downloading(
    setup: Setup, authority: TestAuthority, data_dir: Path, body: bytes, *, http2: bool, after: float = 0.01
) -> AsyncIterator[httpx.AsyncClient]:
    answer = Answer(body=body, media_type="image/png")
    async with serve_origin(lambda _: answer, authority.context(HOST)) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        async with (
            serve_proxy(setup, data_dir, resolve=resolve, upstream_ca=authority.file, trickle_after=after) as proxy,
            proxy.client(http2=http2) as client,
        ):
            yield client


@pytest.mark.parametrize("http2", [False, True])
async def test_a_download_that_passes_is_whole(authority: TestAuthority, data_dir: Path, http2: bool) -> None:
    judge = GatedJudge()
    setup = Setup(policies=[PATIENT], judge=judge)
    async with downloading(setup, authority, data_dir, PLAIN, http2=http2) as client:
        async with client.stream("GET", f"https://{HOST}/a.png") as reply:
            chunks = reply.aiter_raw()
            received = await anext(chunks)
            assert received
            assert not judge.gate.is_set(), "the first byte came before the verdict"
            judge.gate.set()
            received += b"".join([chunk async for chunk in chunks])
        again = await client.get(f"https://{HOST}/a.png")
    assert (reply.status_code, received) == (200, PLAIN)
    assert again.content == PLAIN, "the connection stays usable"


async def download(client: httpx.AsyncClient, judge: GatedJudge, received: bytearray) -> None:
    """Let the judge go on once a byte is there."""
    async with client.stream("GET", f"https://{HOST}/a.png") as reply:
        async for chunk in reply.aiter_raw():
            received += chunk
            judge.gate.set()


@pytest.mark.parametrize("http2", [False, True])
async def test_a_download_that_is_blocked_is_cut_off(authority: TestAuthority, data_dir: Path, http2: bool) -> None:
    judge = GatedJudge()
    setup = Setup(policies=[PATIENT], judge=judge)
    received = bytearray()
    async with downloading(setup, authority, data_dir, SECRET, http2=http2) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await download(client, judge, received)
        other = await client.get(f"https://{HOST}/a.png")
    assert 0 < len(received) <= MAX_TRICKLED
    assert SECRET.startswith(bytes(received))
    assert other.status_code == 403, "decided at once, and said"
    first, _ = setup.recorder.alerts
    assert (first.enforced, first.finding.note) == (Action.BLOCK, f"cut off after {len(received)} bytes")


@pytest.mark.parametrize(
    ("policy", "after", "status"),
    [(make_policy(action=Action.REDACT, deadline_ms=60_000), 0.01, 200), (PATIENT, 0.0, 403)],
    ids=["redaction", "switched off"],
)
async def test_what_must_not_trickle_does_not(
    authority: TestAuthority, data_dir: Path, policy: Policy, after: float, status: int
) -> None:
    judge = GatedJudge()
    setup = Setup(policies=[policy], judge=judge, obscurer=MarkRemover())
    async with downloading(setup, authority, data_dir, SECRET, http2=False, after=after) as client:
        asking = asyncio.get_running_loop().create_task(client.get(f"https://{HOST}/a.png"))
        await judge.was_asked.wait()
        await asyncio.wait({asking}, timeout=0.1)
        assert not asking.done()
        judge.gate.set()
        reply = await asking
    assert reply.status_code == status
    assert "x-safelight" in reply.headers
    assert setup.recorder.alerts[0].finding.note == ""


async def test_a_client_that_leaves_ends_the_wait(authority: TestAuthority, data_dir: Path) -> None:
    judge = GatedJudge()
    setup = Setup(policies=[PATIENT], judge=judge)
    async with downloading(setup, authority, data_dir, SECRET, http2=False) as client:
        async with client.stream("GET", f"https://{HOST}/a.png") as reply:
            await anext(reply.aiter_raw())
        await judge.was_left.wait()
    assert setup.recorder.alerts == [], "nobody was there to be blocked"
