"""Broken, hostile and odd files of public test suites: each ends in a picture or a named error, alone."""

import asyncio
import gzip
import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from shared.errors import DecodeError, ErrorCode
from shared.telemetry import Metrics
from shared.types import DecodedImage
from workers.decoding.pool import DecodePool
from workers.decoding.protocol import FORMATS

pytestmark = pytest.mark.corpus

ARCHIVES: Final = ("robustness/files.tar", "robustness/generated.tar", "neardup/pairs.tar")
AT_ONCE: Final = 8
DECODE_SECONDS: Final = 5.0
SHARE_OF_INTERNAL_ERRORS: Final = 0.05


@pytest.fixture(scope="module")
def facts(corpus: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The manifest: what is known of each file."""
    with gzip.open(corpus / "manifest.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return {(row["archive"], row["name"]): row for row in rows if row["archive"] in ARCHIVES}


def files(corpus: Path) -> Iterator[tuple[tuple[str, str], bytes]]:
    for archive in ARCHIVES:
        with tarfile.open(corpus / archive) as tar:
            for member in tar:
                if (stream := tar.extractfile(member) if member.isfile() else None) is not None:
                    yield (archive, member.name), stream.read()


async def decode_all(corpus: Path, metrics: Metrics) -> dict[tuple[str, str], DecodedImage | DecodeError]:
    pool = DecodePool(size=2, side=96, timeout=DECODE_SECONDS, max_pixels=100_000_000, metrics=metrics)
    await pool.start()
    places = asyncio.Semaphore(AT_ONCE)

    async def outcome(data: bytes) -> DecodedImage | DecodeError:
        async with places:
            try:
                return await pool.decode(data)
            except DecodeError as error:
                return error

    try:
        content = dict(files(corpus))
        return dict(zip(content, await asyncio.gather(*map(outcome, content.values())), strict=True))
    finally:
        await pool.stop()


def is_readable(fact: dict[str, Any]) -> bool:
    return fact.get("pillow") == "ok" and fact.get("pillow_format") in FORMATS


@pytest.mark.timeout(300)
async def test_every_file_ends_well(corpus: Path, facts: dict[tuple[str, str], dict[str, Any]]) -> None:
    metrics = Metrics()
    outcomes = await decode_all(corpus, metrics)
    codes = Counter(
        outcome.code.value if isinstance(outcome, DecodeError) else f"ok {outcome.info.format}"
        for outcome in outcomes.values()
    )
    print(*(f"{count:5} {code}" for code, count in codes.most_common()), sep="\n")

    assert codes[ErrorCode.INTERNAL_ERROR] <= SHARE_OF_INTERNAL_ERRORS * len(outcomes)
    assert codes[ErrorCode.DECODE_TIMEOUT] == codes[ErrorCode.DECODER_CRASHED] == 0
    for cause in ("crash", "timeout", "cancelled"):
        assert metrics.value("safelight_worker_decoder_restarts_total", cause=cause) == 0

    unread = {name: str(outcome) for name, outcome in outcomes.items() if is_readable(facts[name])
              and isinstance(outcome, DecodeError)}  # fmt: skip
    assert unread == {}


@pytest.mark.timeout(300)
async def test_readable_files_get_their_size(corpus: Path, facts: dict[tuple[str, str], dict[str, Any]]) -> None:
    outcomes = await decode_all(corpus, Metrics())
    readable = [name for name, fact in facts.items() if is_readable(fact)]
    assert len(readable) > 100
    wrong = {}
    for name in readable:
        image = outcomes[name]
        assert isinstance(image, DecodedImage)
        size, expected = (image.info.width, image.info.height), tuple(facts[name]["size"])
        # The manifest's size is before the EXIF turn.
        if size != expected and not (size == expected[::-1] and facts[name]["pillow_format"] == "JPEG"):
            wrong[name] = (size, expected)
    assert wrong == {}
