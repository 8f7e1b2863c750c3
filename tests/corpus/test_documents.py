"""Office documents, PDF, mails and archives of public test suites: pictures or named problems, in the sandbox."""

import asyncio
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from shared.errors import ErrorCode
from shared.telemetry import Metrics
from workers.decoding.pool import DecodePool
from workers.decoding.unpack_protocol import Findings, UnpackOrder

pytestmark = pytest.mark.corpus

ARCHIVES: Final = ("documents/documents.tar", "robustness/files.tar", "robustness/generated.tar")
ORDER: Final = UnpackOrder(seconds=20.0, max_inflated_bytes=256 << 20)
SHARE_WITH_PICTURES: Final = {"docx": 1.0, "pptx": 1.0, "xlsx": 0.9, "odt": 1.0, "pdf": 0.8}
"""Of the files that the pack says mostly have embedded images; measured on it."""


def files(corpus: Path) -> Iterator[tuple[str, bytes]]:
    for archive in ARCHIVES:
        with tarfile.open(corpus / archive) as tar:
            for member in tar:
                if (stream := tar.extractfile(member) if member.isfile() else None) is not None:
                    yield f"{archive}/{member.name}", stream.read()


async def unpack_all(corpus: Path, metrics: Metrics) -> dict[str, Findings]:
    pool = DecodePool(size=2, side=96, timeout=5.0, max_pixels=100_000_000, metrics=metrics)
    await pool.start()
    places = asyncio.Semaphore(4)

    async def outcome(data: bytes) -> Findings:
        async with places:
            return await pool.unpack(data, ORDER)

    try:
        content = dict(files(corpus))
        return dict(zip(content, await asyncio.gather(*map(outcome, content.values())), strict=True))
    finally:
        await pool.stop()


async def test_every_file_is_opened_or_says_why(corpus: Path) -> None:
    metrics = Metrics()
    outcomes = await unpack_all(corpus, metrics)
    lost = {name: outcome.error.code for name, outcome in outcomes.items() if outcome.error is not None}
    assert lost == {}
    assert metrics.value("safelight_worker_decoder_restarts_total", cause="crash") == 0
    total, with_pictures, codes = Counter[str](), Counter[str](), Counter[str]()
    for name, outcome in outcomes.items():
        ending = name.rpartition(".")[2].lower() if name.startswith("documents/") else "robustness"
        total[ending] += 1
        with_pictures[ending] += bool(outcome.found)
        codes.update(str(unread.code) for unread in outcome.unread if ending != "robustness")
    print(f"{dict(total)}, with pictures {dict(with_pictures)}, not read {dict(codes)}")
    shares = {ending: with_pictures[ending] / total[ending] for ending in SHARE_WITH_PICTURES}
    assert all(shares[ending] >= least for ending, least in SHARE_WITH_PICTURES.items()), shares
    assert codes[ErrorCode.OVER_BUDGET] == 0
    assert codes[ErrorCode.INTERNAL_ERROR] == 0
