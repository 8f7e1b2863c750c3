"""Every way in which curl uploads a file, through a running proxy over TLS, in HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.browsers import program
from tests.factories import make_policy
from tests.origins import Origin, TestAuthority, serve_origin
from tests.proxies import Setup, make_image, serve_proxy

HOST: Final = "origin.example"
LIMIT_S: Final = "60"
SIZE: Final = 200_000
"""More than the first window of a stream (RFC 9113, section 6.9.2)."""
WAYS: Final = {
    "put": ("-T", "picture.png"),
    "without a length": ("-T", "-"),
    "post": ("--data-binary", "@picture.png", "-H", "Content-Type: image/png"),
    "form": ("-F", "note=hello", "-F", "file=@picture.png"),
    "expecting 100": ("-T", "picture.png", "-H", "Expect: 100-continue"),
}
VERSIONS: Final = {"1.1": "--http1.1", "2": "--http2"}


@dataclass(frozen=True, kw_only=True)
class Curled:
    """What curl wrote: the body, and of its report the status and the version."""

    body: bytes
    status: str
    version: str


async def curl(proxy: str, folder: Path, *arguments: str) -> Curled:
    """Run it in ``folder``, with the picture as standard input."""
    report = ("-o", "answer", "-w", "%{http_code} %{http_version}")
    trust = ("--cacert", "proxy-ca.pem", "-x", f"http://{proxy}")
    with (folder / "picture.png").open("rb") as picture:
        process = await asyncio.create_subprocess_exec(
            *(program("curl"), "-sS", "-m", LIMIT_S, *report, *trust, *arguments, f"https://{HOST}/upload"),
            cwd=folder,
            stdin=picture,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err
    status, version = out.decode().split()
    return Curled(body=(folder / "answer").read_bytes(), status=status, version=version)


async def uploaded(folder: Path, picture: bytes, setup: Setup, *arguments: str) -> tuple[Curled, Origin]:
    authority = TestAuthority(folder)
    (folder / "picture.png").write_bytes(picture)
    async with serve_origin(tls=authority.context(HOST)) as origin:
        resolve = {f"{HOST}:443": f"127.0.0.1:{origin.port}"}
        async with serve_proxy(setup, folder, resolve=resolve, upstream_ca=authority.file) as proxy:
            (folder / "proxy-ca.pem").write_text(proxy.ca)
            return await curl(proxy.address, folder, *arguments), origin


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", WAYS)
async def test_a_protected_picture_is_refused(tmp_path: Path, way: str, version: str) -> None:
    setup = Setup(policies=[make_policy(deadline_ms=20_000)])
    picture = make_image(SIZE, protected=True)
    seen, origin = await uploaded(tmp_path, picture, setup, VERSIONS[version], *WAYS[way])
    assert (seen.status, seen.version) == ("403", version)
    assert b'"policy"' in seen.body
    assert origin.seen == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", WAYS)
async def test_another_picture_arrives_byte_for_byte(tmp_path: Path, way: str, version: str) -> None:
    setup = Setup(policies=[make_policy(deadline_ms=20_000)])
    seen, origin = await uploaded(tmp_path, make_image(SIZE), setup, VERSIONS[version], *WAYS[way])
    assert (seen.status, seen.version, seen.body) == ("200", version, b"received")
    (arrived,) = origin.seen
    assert make_image(SIZE) in arrived.body if way == "form" else arrived.body == make_image(SIZE)
    assert arrived.http == version
    assert make_image(SIZE) in [part.data for part in setup.judge.asked]
