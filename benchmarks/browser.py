"""What an upload costs its user, as a real Chromium sees it, and how much of a body one core of the proxy moves.

One Chromium uploads new pictures with fetch, each once directly, once through the proxy without a policy and once with
a policy that blocks, in turns: a proxy configuration file sends every host its own way.  Then bodies of 10 MB go
through the same proxies and stock mitmdump: one that is held until it is known to hold no image, one that is streamed.

    python -m benchmarks.browser [--uploads 200] [--bodies 20] [--repeats 3] [-o FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import queue
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.clients import Target, run
from benchmarks.proxies import Proxy, cpu_seconds, safelight_proxy, say, stock_proxy, write_report
from tests.browsers import Chromium, InThread
from tests.origins import Answer, Origin, Seen, TestAuthority, serve_origin
from workers.training.drawing import draw

PAGE: Final = Path(__file__).with_name("browser.html").read_bytes()
DIRECT, BARE, FULL = "direct.example.com", "bare.example.com", "full.example.com"
ROUTES: Final[Mapping[str, str]] = {DIRECT: "no proxy", BARE: "safelight, no policy", FULL: "safelight"}
FAMILIES: Final = ("floor_plan", "product_render", "poster", "street_map", "circuit", "abstract")
"""Those that come to 40 to 75 KB at ``SIZE``."""
SIZE: Final = (1024, 768)
WARM: Final = 10
"""Uploads before those that count: connections, preflights and caches of the first ones are another question."""
BROWSER_SECONDS: Final = 600.0
BODY_BYTES: Final = 10_000_000
CONNECTIONS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What is sent to see how much one core moves."""

    name: str
    media_type: str
    data: bytes


def pictures(count: int) -> list[bytes]:
    """JPEGs of about 60 KB, all different."""
    return [_jpeg(FAMILIES[number % len(FAMILIES)], 1000 + number) for number in range(count)]


def _jpeg(family: str, seed: int) -> bytes:
    file = io.BytesIO()
    draw(family, seed).convert("RGB").resize(SIZE).save(file, "JPEG", quality=85)
    return file.getvalue()


def bodies() -> tuple[Body, Body]:
    """Neither holds an image; the second is of a type that is streamed."""
    row = json.dumps({"id": 1, "name": "item", "note": "nothing to see here"})
    document = ("[" + ",".join([row] * (BODY_BYTES // (len(row) + 1))) + "]").encode()
    film = b"\0\0\0\x18ftypisom\0\0\2\0isommp42" + bytes(range(1, 256)) * (BODY_BYTES // 255)
    return (
        Body(name="JSON, held", media_type="application/json", data=document),
        Body(name="video, streamed", media_type="video/mp4", data=film),
    )


class Site:
    """The origin of the page: hands out pictures and orders, takes uploads and the report."""

    def __init__(self, images: Sequence[bytes], count: int) -> None:
        self.reports: queue.Queue[dict[str, Any]] = queue.Queue()
        self._images = images
        self._orders = {"warm": WARM, "count": count, "hosts": list(ROUTES)}
        self.origin: Origin | None = None

    def answer(self, seen: Seen) -> Answer:
        """Answer, and forget what came: bodies are large."""
        if self.origin is not None:
            self.origin.seen.clear()
        allowed = (
            ("access-control-allow-origin", seen.header("origin")),
            ("access-control-allow-headers", "content-type"),
            ("access-control-max-age", "7200"),
        )
        if seen.target == "/report":
            self.reports.put(json.loads(seen.body))
        if seen.target == "/upload":
            return Answer(status=201, headers=allowed) if seen.method == "POST" else Answer(body=b"", headers=allowed)
        if seen.target == "/orders":
            return Answer(body=json.dumps(self._orders).encode(), media_type="application/json")
        if seen.target.startswith("/picture/"):
            return Answer(body=self._images[int(seen.target.rpartition("/")[2])], media_type="image/jpeg")
        return Answer(body=PAGE, media_type="text/html") if seen.target == "/" else Answer()


def proxy_configuration(proxies: Mapping[str, Proxy]) -> str:
    """Every host its own way, as a data URL."""
    ways = {host: f"PROXY {proxy.address[0]}:{proxy.address[1]}" for host, proxy in proxies.items()}
    code = f"function FindProxyForURL(url, host) {{ return {json.dumps(ways)}[host] || 'DIRECT'; }}"
    return "data:application/x-ns-proxy-autoconfig;base64," + base64.b64encode(code.encode()).decode()


def delays(site: Site, port: int, proxies: Mapping[str, Proxy], authority: Path, folder: Path) -> list[dict[str, Any]]:
    """What the page measured, in milliseconds."""
    trusted = [authority.read_text(), *(proxy.authority.read_text() for proxy in proxies.values())]
    arguments = (
        f"--proxy-pac-url={proxy_configuration(proxies)}",
        f"--host-resolver-rules=MAP {DIRECT}:443 127.0.0.1:{port}",
    )
    with Chromium(folder / "chromium", trusted, f"https://{DIRECT}/", *arguments) as chromium:
        try:
            report = site.reports.get(timeout=BROWSER_SECONDS)
        except queue.Empty:
            raise TimeoutError(f"the browser reported nothing: {chromium.log.read_text()[-2000:]}") from None
    if "error" in report:
        raise RuntimeError(report["error"])
    return [_delay(ROUTES[host], spent) for host, spent in report["milliseconds"].items()]


def _delay(route: str, milliseconds: Sequence[float]) -> dict[str, Any]:
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    shown = {f"p{percent}": round(cuts[percent - 1], 1) for percent in (50, 95, 99)}
    return {"route": route, "uploads": len(milliseconds), **shown, "max": round(max(milliseconds), 1)}


async def megabits(proxy: Proxy, port: int, body: Body, count: int) -> float:
    """Mbit of a body that one second of processor time of the proxy moves, received and sent on over TLS."""
    target = Target(
        proxy=proxy.address,
        port=port,
        path="/",
        authority=str(proxy.authority),
        body=body.data,
        media_type=body.media_type,
    )
    await run(target, "TLS, http/1.1", connections=CONNECTIONS, requests=CONNECTIONS)
    before = sum(map(cpu_seconds, proxy.pids))
    await run(target, "TLS, http/1.1", connections=CONNECTIONS, requests=count)
    # Each connection begins with one request that is not counted among them, but costs as much.
    sent = (count // CONNECTIONS + 1) * CONNECTIONS * len(body.data)
    return sent * 8 / 1e6 / (sum(map(cpu_seconds, proxy.pids)) - before)


def rates(proxies: Sequence[Proxy], port: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All bodies, the proxies in turns; medians."""
    rows = []
    for body in bodies():
        turns: dict[str, list[float]] = {proxy.name: [] for proxy in proxies}
        for repeat in range(options.repeats):
            for proxy in proxies if repeat % 2 == 0 else tuple(reversed(proxies)):
                turns[proxy.name].append(asyncio.run(megabits(proxy, port, body, options.bodies)))
                say(f"{body.name}: {proxy.name}, turn {repeat + 1} of {options.repeats}")
        rows += [
            {
                "body": body.name,
                "proxy": name,
                "mbit_s_per_core": round(statistics.median(turn)),
                "range": [round(edge(turn)) for edge in (min, max)],
            }
            for name, turn in turns.items()
        ]
    return rows


@contextmanager
def serving(site: Site, authority: TestAuthority) -> Iterator[int]:
    """Serve the site under all its names; yields the port."""
    tls = authority.context("localhost", *ROUTES)
    with InThread(lambda: serve_origin(site.answer, tls)) as origin:
        site.origin = origin
        yield origin.port


def table(uploads: Sequence[dict[str, Any]], throughput: Sequence[dict[str, Any]]) -> str:
    """The rows for a person."""
    lines = [f"{'upload, ms':<26}{'n':>6}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}"]
    lines += [
        f"{row['route']:<26}{row['uploads']:>6}{row['p50']:>9.1f}{row['p95']:>9.1f}{row['p99']:>9.1f}{row['max']:>9.1f}"
        for row in uploads
    ]
    lines.append(f"\n{'10 MB body':<18}{'proxy':<26}{'Mbit/s per core':>16}{'(range)':>16}")
    for row in throughput:
        low, high = row["range"]
        lines.append(f"{row['body']:<18}{row['proxy']:<26}{row['mbit_s_per_core']:>16}{f'({low}-{high})':>16}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=200, help="pictures, each sent once by every route")
    parser.add_argument("--bodies", type=int, default=20, help="bodies of 10 MB of one turn")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each proxy")
    parser.add_argument("-o", "--output", type=Path, default=None, help="folder for browser.json")
    options = parser.parse_args()
    images = pictures(WARM + options.uploads)
    site = Site(images, options.uploads)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        authority = TestAuthority(folder)
        port = stack.enter_context(serving(site, authority))
        resolve = {f"{host}:443": f"127.0.0.1:{port}" for host in ROUTES}
        proxies = {
            host: stack.enter_context(
                safelight_proxy(ROUTES[host], folder / host, authority.file, policy=host == FULL, resolve=resolve)
            )
            for host in (BARE, FULL)
        }
        uploads = delays(site, port, proxies, authority.file, folder)
        stock = stack.enter_context(stock_proxy(folder, authority.file))
        throughput = rates([stock, *proxies.values()], port, options)
    sys.stdout.write(table(uploads, throughput) + "\n")
    figures = {
        "picture_bytes": round(statistics.mean(map(len, images))),
        "uploads": uploads,
        "throughput": throughput,
    }
    write_report(options.output, "browser", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
