"""Does a proxy's memory stay flat? A 4 GB download, and 10,000 uploads of a picture on one HTTP/2 connection.

    python -m benchmarks.memory [--gigabytes 4] [--uploads 10000] [-o FOLDER]

Resident memory of the proxy's process is read before, at intervals, and after (proc(5)); flat is within 32 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.clients import Target, run
from benchmarks.processes import resident_mb
from benchmarks.proxies import Proxy, origin_process, safelight_proxy, write_report
from workers.training.drawing import FAMILIES, draw

FLAT_MB: Final = 32.0
WARM_UPLOADS: Final = 200
"""After these every cache is filled; growth is counted from here."""
SAMPLE_SECONDS: Final = 0.5
PIECE: Final = bytes(256 << 10)


@asynccontextmanager
async def endless_origin(size: int, media_type: str) -> AsyncIterator[int]:
    """Answer everything with ``size`` zero bytes; yields the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        for _ in range(size // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def download(proxy: Proxy, size: int, media_type: str) -> None:
    """Read it all through the proxy and forget it."""
    async with endless_origin(size, media_type) as port:
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(f"GET http://127.0.0.1:{port}/file HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        left = size
        while left:
            piece = await reader.read(1 << 20)
            if not piece:
                raise ConnectionError(f"the download ended {left} bytes early")
            left -= len(piece)
        writer.close()


async def watched(proxy: Proxy, work: Callable[[], Awaitable[object]]) -> dict[str, Any]:
    """Do the work; return resident memory before, at its highest and after, in MB."""
    before = highest = resident_mb(proxy.pids[0])
    task = asyncio.ensure_future(work())
    while not task.done():
        await asyncio.wait({task}, timeout=SAMPLE_SECONDS)
        highest = max(highest, resident_mb(proxy.pids[0]))
    await task
    after = resident_mb(proxy.pids[0])
    grown = highest - before
    return {
        "before_mb": round(before, 1),
        "highest_mb": round(highest, 1),
        "after_mb": round(after, 1),
        "grown_mb": round(grown, 1),
        "flat": grown <= FLAT_MB,
    }


async def measure(proxy: Proxy, port: int, options: argparse.Namespace, picture: bytes) -> list[dict[str, Any]]:
    """All cases, one after the other."""
    size = int(options.gigabytes * (1 << 30)) // len(PIECE) * len(PIECE)
    rows = []
    for name, media_type in (("a film", "video/mp4"), ("a file too large to be held", "application/octet-stream")):
        await download(proxy, 1 << 24, media_type)
        figures = await watched(proxy, lambda media_type=media_type: download(proxy, size, media_type))  # type: ignore[misc]
        rows.append({"case": f"download of {options.gigabytes} GiB: {name}", **figures})
    target = Target(proxy=proxy.address, port=port, path="/upload", authority=str(proxy.authority), body=picture)
    await run(target, "TLS, h2", connections=1, requests=WARM_UPLOADS)
    uploads = options.uploads
    figures = await watched(proxy, lambda: run(target, "TLS, h2", connections=1, requests=uploads))
    rows.append({"case": f"{uploads} uploads on one HTTP/2 connection", **figures})
    return rows


def main() -> int:
    """Measure, print and write; 1 where memory is not flat."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the downloads")
    parser.add_argument("--uploads", type=int, default=10_000, help="pictures on one connection")
    parser.add_argument("-o", "--output", type=Path, default=None, help="folder for memory.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        _, tls = stack.enter_context(origin_process(folder))
        draw(FAMILIES[1], 2).convert("RGB").resize((320, 240)).save(folder / "picture.jpg", quality=80)
        proxy = stack.enter_context(
            safelight_proxy("safelight", folder / "full", folder / "origins-ca.pem", policy=True)
        )
        rows = asyncio.run(measure(proxy, tls, options, (folder / "picture.jpg").read_bytes()))
    for row in rows:
        verdict = "flat" if row["flat"] else "NOT FLAT"
        sys.stdout.write(f"{row['case']:<50}{row['before_mb']:>8} MB, {row['highest_mb']:>8} at most: {verdict}\n")
    write_report(options.output, "memory", {"rows": rows})
    return 0 if all(row["flat"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
