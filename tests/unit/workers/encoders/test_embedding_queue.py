"""Images share encoder runs; each gets its own vector, or its own error."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.errors import DecodeError, EncoderUnavailableError, ErrorCode
from shared.telemetry import Metrics
from tests.inspection_doubles import KnownEncoder, StillClock
from workers.encoders.embedding_queue import EmbeddingQueue

PIXELS = bytes(12)


@pytest.fixture
def encoder() -> KnownEncoder:
    return KnownEncoder()


@pytest.fixture
async def queue(encoder: KnownEncoder) -> AsyncIterator[EmbeddingQueue]:
    queue = EmbeddingQueue(encoder, StillClock(), Metrics(), sizes=(1, 2, 4))
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


class SlowEncoder(KnownEncoder):
    """Every run takes a tenth of a second of a clock that is handed in."""

    def __init__(self, clock: StillClock) -> None:
        super().__init__()
        self._clock = clock

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        self._clock.now += 0.1
        return super().embed(pixels)


async def test_who_has_less_time_than_a_run_takes_is_told_at_once() -> None:
    clock = StillClock()
    encoder = SlowEncoder(clock)
    queue = EmbeddingQueue(encoder, clock, Metrics(), sizes=(1, 2))
    queue.start()
    try:
        assert queue.expected() == 0.0
        await queue.embed(PIXELS, deadline=clock.now + 0.01)
        assert queue.expected() == pytest.approx(0.1)
        with pytest.raises(DecodeError) as caught:
            await queue.embed(PIXELS, deadline=clock.now + 0.05)
        assert caught.value.code == ErrorCode.TOO_LATE
        assert encoder.batches == [1]
        await queue.embed(PIXELS, deadline=clock.now + 0.15)
    finally:
        await queue.stop()


async def test_a_failing_run_fails_its_items_and_the_next_one_is_tried(
    queue: EmbeddingQueue, encoder: KnownEncoder
) -> None:
    encoder.error = RuntimeError("no memory left on the device")
    results = await asyncio.gather(queue.embed(PIXELS), queue.embed(PIXELS), return_exceptions=True)
    assert [type(result) for result in results] == [RuntimeError, RuntimeError]
    encoder.error = None
    assert (await queue.embed(PIXELS)).shape == (4,)


async def test_what_is_made_of_a_vector_is_made_in_its_thread_and_fails_alone(queue: EmbeddingQueue) -> None:
    threads: list[int] = []

    def measure(vector: NDArray[np.float32]) -> int:
        threads.append(threading.get_ident())
        return len(vector)

    def fail(_: NDArray[np.float32]) -> int:
        raise KeyError("why")

    asked = (queue.embed_then(PIXELS, then) for then in (measure, fail, measure, measure))
    first, broken, *others = await asyncio.gather(*asked)
    assert [each.result() for each in (first, *others)] == [4] * 3
    assert broken.vector.shape == (4,)
    with pytest.raises(KeyError):
        broken.result()
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


async def test_the_next_batch_does_not_wait_for_what_is_made_of_the_last_one(encoder: KnownEncoder) -> None:
    queue = EmbeddingQueue(encoder, StillClock(), Metrics(), sizes=(1,))
    queue.start()
    second = threading.Event()
    try:
        waits, tells = await asyncio.gather(
            queue.embed_then(PIXELS, lambda _: second.wait(10)), queue.embed_then(PIXELS, lambda _: second.set())
        )
    finally:
        await queue.stop()
    assert waits.result() is True
    assert tells.result() is None
    assert encoder.batches == [1, 1]


async def test_what_is_made_of_vectors_counts_for_the_next_batch_and_not_for_the_encoder() -> None:
    clock, metrics = StillClock(), Metrics()
    queue = EmbeddingQueue(SlowEncoder(clock), clock, metrics, sizes=(1, 2))
    queue.start()

    def work(_: NDArray[np.float32]) -> None:
        clock.now += 0.02

    try:
        first, second = await asyncio.gather(*(queue.embed_then(PIXELS, work) for _ in range(2)))
    finally:
        await queue.stop()
    assert [each.made_at - each.encoded_at for each in (first, second)] == pytest.approx([0.02, 0.04])
    assert queue.expected() == pytest.approx(0.14)
    assert metrics.registry.get_sample_value("safelight_worker_encode_seconds_sum") == pytest.approx(0.1)


async def test_a_queue_that_does_not_run_says_so(encoder: KnownEncoder) -> None:
    queue = EmbeddingQueue(encoder, StillClock(), Metrics(), sizes=(1, 2, 4))
    with pytest.raises(EncoderUnavailableError):
        await queue.embed(PIXELS)
    queue.start()
    await queue.stop()
    await queue.stop()
    with pytest.raises(EncoderUnavailableError):
        await queue.embed(PIXELS)


class HeldEncoder(KnownEncoder):
    """A run ends when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let_go = threading.Event(), threading.Event()

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        self.begun.set()
        self.let_go.wait()
        return super().embed(pixels)


async def test_a_queue_that_stops_tells_all_who_wait() -> None:
    encoder = HeldEncoder()
    queue = EmbeddingQueue(encoder, StillClock(), Metrics(), sizes=(1,))
    queue.start()
    try:
        asked = [asyncio.create_task(queue.embed(PIXELS)) for _ in range(3)]
        await asyncio.to_thread(encoder.begun.wait)
        await queue.stop()
        told = await asyncio.gather(*asked, return_exceptions=True)
    finally:
        encoder.let_go.set()
    assert [type(each) for each in told] == [EncoderUnavailableError] * 3
