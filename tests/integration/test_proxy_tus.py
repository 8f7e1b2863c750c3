"""Uploads as tuspy makes them, through a running proxy, to the npm package @tus/server (https://tus.io)."""

from __future__ import annotations

import asyncio
import io
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.uploader.uploader import Uploader

from shared.core.policy import OnUninspected
from shared.types import Action
from tests.browsers import program
from tests.factories import make_policy
from tests.memory_store import MemoryStore
from tests.proxies import MARK, Setup, make_image, serve_proxy
from tests.servers import ROOT, STOP_LIMIT_S, ServerError

HOST: Final = "tus.example"
ADDRESS: Final = f"http://{HOST}/files"
SERVER: Final = ROOT / "deploy" / "tus" / "server.js"
CHUNK: Final = 40_000
OTHER: Final = make_image(100_000)
PROTECTED: Final = OTHER[: CHUNK - 4] + MARK + OTHER[CHUNK - 4 + len(MARK) :]
"""Its mark lies across the first two of three chunks."""


@contextmanager
def serve_tus(folder: Path) -> Iterator[int]:
    """The server with its uploads in ``folder``; yields its port."""
    if not (SERVER.parent / "node_modules" / ".installed").exists():
        raise ServerError("the tus server is not installed: run `make servers` (needs the packages nodejs and npm)")
    folder.mkdir()
    command = [program("node"), str(SERVER), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(STOP_LIMIT_S)


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    """Where the server keeps what arrives."""
    return tmp_path / "uploads"


@pytest.fixture
def port(uploads: Path) -> Iterator[int]:
    with serve_tus(uploads) as port:
        yield port


@asynccontextmanager
async def proxied(port: int, setup: Setup, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Clients that read the environment go through a proxy meanwhile."""
    async with serve_proxy(setup, folder, resolve={f"{HOST}:80": f"127.0.0.1:{port}"}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        yield


def make_setup(store: MemoryStore) -> Setup:
    policy = make_policy(on_uninspected=OnUninspected(default=Action.BLOCK), deadline_ms=20_000)
    return Setup(policies=[policy], store=store)


def uploader(body: bytes, address: str | None = None, *, checksum: bool = False) -> Uploader:
    """A client for one file; with the ``address`` of an upload begun before, it asks how far that one is."""
    return TusClient(ADDRESS).uploader(
        file_stream=io.BytesIO(body),
        chunk_size=CHUNK,
        metadata={"filename": "drawing.png"},
        url=address,
        upload_checksum=checksum,
    )


def stored(uploads: Path) -> list[bytes]:
    """The whole files that the server holds."""
    return [path.read_bytes() for path in uploads.iterdir() if path.suffix != ".json"]


@pytest.mark.parametrize("checksum", [False, True])
async def test_another_file_arrives_byte_for_byte(
    port: int, uploads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checksum: bool
) -> None:
    setup = make_setup(MemoryStore())
    async with proxied(port, setup, tmp_path, monkeypatch):
        await asyncio.to_thread(lambda: uploader(OTHER, checksum=checksum).upload())
    assert stored(uploads) == [OTHER]
    assert OTHER in [part.data for part in setup.judge.asked]
    assert setup.recorder.alerts == []


async def test_a_protected_file_ends_with_its_last_chunk_and_is_taken_back(
    port: int, uploads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = make_setup(MemoryStore())
    async with proxied(port, setup, tmp_path, monkeypatch):
        upload = await asyncio.to_thread(uploader, PROTECTED)
        with pytest.raises(TusUploadFailed) as refused:
            await asyncio.to_thread(upload.upload)
        await setup.parts.close()
    assert refused.value.status_code == 403
    assert stored(uploads) == []
    assert [alert.finding.kind for alert in setup.recorder.alerts] == ["match"]


@pytest.mark.parametrize("body", [OTHER, PROTECTED], ids=["other", "protected"])
async def test_an_upload_goes_on_through_the_next_proxy(
    port: int, uploads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    store = MemoryStore()
    async with proxied(port, make_setup(store), tmp_path, monkeypatch):
        begun = await asyncio.to_thread(uploader, body)
        await asyncio.to_thread(begun.upload, stop_at=CHUNK)
        address = begun.url
    after = make_setup(store)
    async with proxied(port, after, tmp_path, monkeypatch):
        resumed = await asyncio.to_thread(uploader, body, address)
        assert resumed.offset == CHUNK
        if body == OTHER:
            await asyncio.to_thread(resumed.upload)
        else:
            with pytest.raises(TusUploadFailed):
                await asyncio.to_thread(resumed.upload)
        await after.parts.close()
    assert stored(uploads) == ([OTHER] if body == OTHER else [])


async def test_a_refused_upload_is_gone_for_a_client_that_tries_to_resume(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = make_setup(MemoryStore())
    async with proxied(port, setup, tmp_path, monkeypatch):
        upload = await asyncio.to_thread(uploader, PROTECTED)
        with pytest.raises(TusUploadFailed):
            await asyncio.to_thread(upload.upload)
        await setup.parts.close()
        with pytest.raises(TusCommunicationError):
            await asyncio.to_thread(uploader, PROTECTED, upload.url)
    async with httpx.AsyncClient(trust_env=False) as direct:
        name = str(upload.url).rsplit("/", 1)[1]
        answer = await direct.head(f"http://127.0.0.1:{port}/files/{name}", headers={"tus-resumable": "1.0.0"})
    assert answer.status_code in {404, 410}
