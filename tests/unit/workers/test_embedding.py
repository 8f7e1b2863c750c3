"""Images share encoder runs; each gets its own vector, or its own error."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.errors import DecodeError, EncoderUnavailableError, ErrorCode
from shared.telemetry import Metrics
from tests.inspection_doubles import KnownEncoder, StillClock
from workers.embedding import EmbeddingQueue

PIXELS = bytes(12)


@pytest.fixture
def encoder() -> KnownEncoder:
    return KnownEncoder()


@pytest.fixture
async def queue(encoder: KnownEncoder) -> AsyncIterator[EmbeddingQueue]:
    queue = EmbeddingQueue(encoder, StillClock(), Metrics(), limit=4)
    queue.start()
    yield queue
    await queue.stop()


async def test_items_of_a_moment_share_a_run(queue: EmbeddingQueue, encoder: KnownEncoder) -> None:
    vectors = await asyncio.gather(*(queue.embed(PIXELS) for _ in range(6)))
    assert encoder.batches == [4, 2]
    assert [vector.shape for vector in vectors] == [(4,)] * 6


async def test_late_items_are_not_computed(queue: EmbeddingQueue, encoder: KnownEncoder) -> None:
    with pytest.raises(DecodeError) as caught:
        await queue.embed(PIXELS, deadline=99.0)
    assert caught.value.code == ErrorCode.TOO_LATE
    assert encoder.batches == []


async def test_a_failing_run_fails_its_items_and_the_next_one_is_tried(
    queue: EmbeddingQueue, encoder: KnownEncoder
) -> None:
    encoder.error = RuntimeError("no memory left on the device")
    results = await asyncio.gather(queue.embed(PIXELS), queue.embed(PIXELS), return_exceptions=True)
    assert [type(result) for result in results] == [RuntimeError, RuntimeError]
    encoder.error = None
    assert (await queue.embed(PIXELS)).shape == (4,)


async def test_a_queue_that_does_not_run_says_so(encoder: KnownEncoder) -> None:
    queue = EmbeddingQueue(encoder, StillClock(), Metrics(), limit=4)
    with pytest.raises(EncoderUnavailableError):
        await queue.embed(PIXELS)
    queue.start()
    await queue.stop()
    await queue.stop()
    with pytest.raises(EncoderUnavailableError):
        await queue.embed(PIXELS)
