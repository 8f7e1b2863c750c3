"""Downloads in ranges through a running proxy, from an origin that serves them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.factories import make_policy
from tests.origins import Answer, Seen, serve_origin
from tests.proxies import Setup, make_image, serve_proxy

SECRET, PUBLIC = make_image(5000, protected=True), make_image(5000)


def serve(seen: Seen) -> Answer:
    """RFC 9110, section 14: one range or the whole."""
    body = SECRET if seen.target.startswith("/secret") else PUBLIC
    headers = (("accept-ranges", "bytes"), ("etag", f'"{len(body)}"'))
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", seen.header("range"))
    if match is None:
        return Answer(body=body, media_type="image/png", headers=headers)
    start, end = int(match[1]), int(match[2]) + 1 if match[2] else len(body)
    ranged = ("content-range", f"bytes {start}-{end - 1}/{len(body)}")
    return Answer(body=body[start:end], media_type="image/png", status=206, headers=(*headers, ranged))


@pytest.mark.parametrize("whole_first", [True, False])
async def test_a_blocked_download_cannot_be_had_in_pieces(tmp_path: Path, whole_first: bool) -> None:
    setup = Setup(policies=[make_policy(deadline_ms=5000)])
    async with serve_origin(serve) as origin:
        resolve = {"origin.example:80": f"127.0.0.1:{origin.port}"}
        async with serve_proxy(setup, tmp_path, resolve=resolve) as proxy, proxy.client() as client:
            url = "http://origin.example/secret?X-Amz-Signature="
            if whole_first:
                assert (await client.get(url + "1")).status_code == 403
            first = await client.get(url + "2", headers={"range": "bytes=0-19"})
            assert first.status_code == (403 if whole_first else 206)
            rest = await client.get(url + "3", headers={"range": "bytes=20-"})
            assert rest.status_code == 403
            assert (await client.get(url + "4", headers={"range": "bytes=100-200"})).status_code == 403


async def test_other_downloads_are_resumed_byte_for_byte(tmp_path: Path) -> None:
    setup = Setup(policies=[make_policy(deadline_ms=5000)])
    async with serve_origin(serve) as origin:
        resolve = {"origin.example:80": f"127.0.0.1:{origin.port}"}
        async with serve_proxy(setup, tmp_path, resolve=resolve) as proxy, proxy.client() as client:
            url = "http://origin.example/public"
            assert (await client.get(url)).content == PUBLIC
            rest = await client.get(url, headers={"range": "bytes=3000-"})
    assert (rest.status_code, rest.content) == (206, PUBLIC[3000:])
    assert setup.recorder.alerts == []
