"""Containers taken apart inside the sandbox: every kind, with the child's limits, and what losing a child costs."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import lzma
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest
import zstandard

from shared.core.hashing import hamming
from shared.errors import ErrorCode
from shared.telemetry import Metrics
from tests.container_factories import (
    JPEG,
    PNG,
    make_docx,
    make_jpeg_and_pdf,
    make_ole,
    make_pdf,
    make_raw_pdf,
    make_seven_zip,
    make_tar,
    make_zip,
)
from tests.image_factories import make_file, make_picture
from tests.unit.workers.unpacking.test_seven_zip import FILTERS
from workers.decoding.pool import DecodePool
from workers.decoding.unpack_protocol import Findings, UnpackOrder

ORDER = UnpackOrder(seconds=20.0, max_inflated_bytes=256 << 20)
TAR = make_tar({"a.png": PNG})
KINDS = {
    "zip": make_zip({"a.png": PNG}),
    "docx": make_docx(PNG),
    "tar": TAR,
    "tar.gz": gzip.compress(TAR),
    "tar.bz2": bz2.compress(TAR),
    "tar.xz": lzma.compress(TAR),
    "tar.zst": zstandard.ZstdCompressor().compress(TAR),
    "ole": make_ole({"Pictures": bytes(30) + len(PNG).to_bytes(4, "little") + PNG + bytes(9000)}),
    "pdf": make_pdf(JPEG, attachments={"a.docx": make_docx(PNG)}),
    "mail": b"MIME-Version: 1.0\r\nContent-Type: application/zip\r\n\r\n" + make_zip({"a.png": PNG}),
    "nested": make_zip({"b.7z": make_seven_zip({"c.tar": TAR})}),
    **{f"7z {name}": make_seven_zip({"a.png": PNG}, filters) for name, filters in FILTERS.items()},
}
JPEG_BITS = 10
"""What compression changes of a hash; another picture is about 128 bits off."""
LOCKED = make_seven_zip({"a.png": PNG}, password="secret")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def pool(metrics: Metrics) -> AsyncIterator[DecodePool]:
    pool = DecodePool(size=1, side=96, timeout=5.0, max_pixels=100_000_000, metrics=metrics)
    await pool.start()
    yield pool
    await pool.stop()


async def unpack(pool: DecodePool, data: bytes, order: UnpackOrder = ORDER) -> Findings:
    return await pool.unpack(data, order)


async def test_every_kind_is_opened_by_one_child(pool: DecodePool, metrics: Metrics) -> None:
    child = pool.pids()[0]
    for name, data in KINDS.items():
        findings = await unpack(pool, data)
        assert (findings.error, findings.unread) == (None, []), name
        assert PNG in [found.data for found in findings.found], name
    assert [unread.code for unread in (await unpack(pool, LOCKED)).unread] == [ErrorCode.ENCRYPTED]
    assert child in pool.pids()
    assert metrics.value("safelight_worker_unpack_seconds") == len(KINDS) + 1


async def test_a_child_unpacks_and_decodes_in_turn(pool: DecodePool) -> None:
    findings, image = await asyncio.gather(unpack(pool, KINDS["zip"]), pool.decode(make_file()))
    assert (len(findings.found), image.info.format) == (1, "PNG")


async def test_a_file_that_is_a_picture_and_a_document_is_read_as_both(pool: DecodePool) -> None:
    shown, hidden = make_picture(320, 200, seed=3), make_picture(320, 200, seed=4)
    both = make_jpeg_and_pdf(make_file(shown, "JPEG"), make_pdf(make_file(hidden, "JPEG")))
    image, plain, other = [await pool.decode(data) for data in (both, make_file(shown), make_file(hidden))]
    findings = await unpack(pool, both)
    assert (image.info.format, findings.error, findings.unread) == ("JPEG", None, [])
    inside = [await pool.decode(found.data) for found in findings.found if found.data != both]
    assert hamming(image.frames[0].pdq[0], plain.frames[0].pdq[0]) <= JPEG_BITS
    assert min(hamming(each.frames[0].pdq[0], other.frames[0].pdq[0]) for each in inside) <= JPEG_BITS


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the address space is not limited")
async def test_memory_is_bounded(pool: DecodePool) -> None:
    order = UnpackOrder(seconds=20.0, max_inflated_bytes=4 << 30)
    bomb = make_zip({f"{number}.zip": make_zip({"zeros": bytes(200 << 20)}) for number in range(2)})
    findings = await unpack(pool, bomb, order)
    assert findings.error is None
    assert {unread.code for unread in findings.unread} == {ErrorCode.OVER_BUDGET}
    assert len((await unpack(pool, KINDS["zip"])).found) == 1


async def test_a_crash_costs_one_container(pool: DecodePool, metrics: Metrics) -> None:
    child = pool.pids()[0]
    os.kill(child, signal.SIGSTOP)
    asking = asyncio.get_running_loop().create_task(unpack(pool, KINDS["zip"]))
    await asyncio.sleep(0)
    os.kill(child, signal.SIGKILL)
    findings = await asking
    assert findings.error is not None
    assert findings.error.code is ErrorCode.DECODER_CRASHED
    assert metrics.value("safelight_worker_decoder_restarts_total", cause="crash") == 1
    assert len((await unpack(pool, KINDS["zip"])).found) == 1


async def test_a_page_that_never_ends_is_killed(pool: DecodePool, metrics: Metrics) -> None:
    shading = b"5 0 obj<</ShadingType 1/ColorSpace/DeviceRGB/Function 6 0 R>>endobj\n"
    code = b"{" + b"dup 0.5 mul exch sin cos sqrt add " * 2000 + b"0 0 0}"
    function = b"6 0 obj<</FunctionType 4/Domain[0 1 0 1]/Range[0 1 0 1 0 1]/Length %d>>stream\n%b\nendstream endobj\n"
    page = make_raw_pdf(
        b"/S sh " * 4000, objects=shading + function % (len(code), code), resources="/Shading<</S 5 0 R>>"
    )
    findings = await unpack(pool, page, UnpackOrder(seconds=0.5, max_inflated_bytes=1 << 20))
    codes = {findings.error.code} if findings.error is not None else {unread.code for unread in findings.unread}
    assert codes <= {ErrorCode.DECODE_TIMEOUT, ErrorCode.OVER_BUDGET}
    assert len((await unpack(pool, KINDS["zip"])).found) == 1


async def test_a_deadline_gives_what_was_found_by_then(pool: DecodePool) -> None:
    loop = asyncio.get_running_loop()
    findings = await pool.unpack(KINDS["zip"], ORDER, deadline=loop.time() - 1)
    assert findings.error is not None
    assert findings.error.code is ErrorCode.TOO_LATE
