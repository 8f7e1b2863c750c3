"""Most images are searched for where their batch was encoded, and none is in another's way."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.errors import DecodeError, ErrorCode
from shared.telemetry import Metrics
from shared.types import AT_LEISURE, DecodedFrame, DecodedImage, Inquiry, ReferenceMatch
from tests.factories import make_frame
from tests.inspection_doubles import SIDE, KnownDecoder, KnownEncoder, KnownIndex, StillClock
from tests.local_feature_factories import plane
from workers.encoders.embedding_queue import EmbeddingQueue
from workers.search.live_segment import Probe
from workers.serving.image_search import LARGEST_BEHIND_THE_ENCODER, Decoded, Found, ImageSearch

PICTURED = Image.fromarray(plane("dashboard", 1))


class Running(KnownEncoder):
    """Knows in which threads it ran; a run takes a tenth of a second of a clock that is handed in."""

    def __init__(self, clock: StillClock, error: Exception | None = None) -> None:
        super().__init__(error)
        self._clock = clock
        self.ran_in: list[int] = []

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        self.ran_in.append(threading.get_ident())
        self._clock.now += 0.1
        return super().embed(pixels)


class Searched(KnownIndex):
    """Knows in which threads it searched; looks closely at some images, by SHA-256, and breaks on others."""

    def __init__(self, *, closely: str = "", broken: str = "", size: int = 1) -> None:
        super().__init__(size=size)
        self.searched_in: dict[str, list[int]] = {}
        self._closely = closely
        self._broken = broken

    def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
        for probe in probes:
            self.searched_in.setdefault(probe.sha256, []).append(threading.get_ident())
            if probe.sha256 == self._broken:
                raise KeyError(probe.sha256)
            if probe.sha256 == self._closely and probe.sight is not None and probe.sight.in_time():
                _ = probe.sight.plane
        return super().search(probes)


class Seeing(KnownDecoder):
    """Gives planes where they are asked for."""

    async def decode(
        self, data: bytes, *, deadline: float | None = None, views: bool = False, planes: bool = True
    ) -> DecodedImage:
        image = await super().decode(data, deadline=deadline, views=views, planes=planes)
        return replace(image, frames=(seen(image.frames[0]),)) if planes else image


class Parts:
    """A search and what it is put together from."""

    def __init__(self, index: Searched, error: Exception | None = None, decoder: KnownDecoder | None = None) -> None:
        self.clock, self.metrics = StillClock(), Metrics()
        self.index = index
        self.decoder = decoder or Seeing()
        self.encoder = Running(self.clock, error)
        self.embedding = EmbeddingQueue(self.encoder, self.clock, self.metrics, sizes=(1, 2, 4))
        self.search = ImageSearch(self.decoder, self.embedding, index, self.clock, self.metrics)

    async def ask(self, *images: Decoded, inquiry: Inquiry = AT_LEISURE) -> list[Found | BaseException]:
        """Ask about all of them at once."""
        self.embedding.start()
        try:
            asked = (self.search.find(image, inquiry) for image in images)
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await self.embedding.stop()

    async def find(self, image: Decoded, inquiry: Inquiry = AT_LEISURE) -> Found:
        """Ask about one, of which something is found."""
        (found,) = await self.ask(image, inquiry=inquiry)
        assert isinstance(found, Found)
        return found


def seen(frame: DecodedFrame) -> DecodedFrame:
    return replace(frame, plane=PICTURED.tobytes(), plane_size=PICTURED.size)


def still(sha256: str) -> Decoded:
    """A still whose plane waits to be needed."""
    frame = make_frame(pixels=bytes(SIDE * SIDE * 3))
    return Decoded(data=b"an image", sha256=sha256, frames=(frame,), planes=False, spare=False)


async def test_a_batch_is_searched_for_in_the_thread_that_encoded_it() -> None:
    parts = Parts(Searched(size=LARGEST_BEHIND_THE_ENCODER))
    found = await parts.ask(*map(still, "abcd"))
    assert [each.matches[0].reference for each in found if isinstance(each, Found)] == ["r-1"] * 4
    assert parts.encoder.batches == [4]
    assert parts.index.searched_in == dict.fromkeys("abcd", parts.encoder.ran_in)
    assert parts.decoder.decoded == []


async def test_nobody_waits_for_another_s_closer_look() -> None:
    class Held(Searched):
        """Looks at the picture when it is let go."""

        def __init__(self) -> None:
            super().__init__(closely="b")
            self.let_go = threading.Event()

        def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
            found = super().search(probes)
            if probes[0].sha256 == "b":
                assert self.let_go.wait(10.0)
            return found

    index = Held()
    parts = Parts(index)
    parts.embedding.start()
    asked = [asyncio.create_task(parts.search.find(still(name), AT_LEISURE)) for name in "abcd"]
    try:
        told = await asyncio.gather(*(asked[place] for place in (0, 2, 3)))
        assert not asked[1].done()
    finally:
        index.let_go.set()
        looked_at = await asked[1]
        await parts.embedding.stop()
    assert all(found.matches for found in (*told, looked_at))
    assert parts.encoder.batches == [4]
    assert parts.decoder.planes == [True]
    assert {name: len(searched) for name, searched in index.searched_in.items()} == {"a": 1, "b": 2, "c": 1, "d": 1}


async def test_a_large_index_is_searched_while_the_next_batch_is_encoded() -> None:
    begun = threading.Event()

    class Second(KnownEncoder):
        """Says when its second batch begins."""

        def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
            if self.batches:
                begun.set()
            return super().embed(pixels)

    class Slow(Searched):
        """Has found the first image when the second one is being encoded."""

        def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
            assert begun.wait(10.0)
            return super().search(probes)

    index = Slow(size=LARGEST_BEHIND_THE_ENCODER + 1)
    parts = Parts(index)
    parts.embedding = EmbeddingQueue(Second(), parts.clock, parts.metrics, sizes=(1,))
    parts.search = ImageSearch(parts.decoder, parts.embedding, index, parts.clock, parts.metrics)
    found = await parts.ask(still("a"), still("b"))
    assert all(isinstance(each, Found) and each.matches for each in found)


async def test_one_image_s_bug_is_not_its_batch_s() -> None:
    parts = Parts(Searched(broken="b"))
    first, second, *others = await parts.ask(*map(still, "abcd"))
    assert isinstance(second, KeyError)
    assert all(isinstance(each, Found) and each.matches for each in (first, *others))


async def test_the_view_that_is_searched_is_the_newest_when_the_vector_is_there() -> None:
    index = Searched()
    parts = Parts(index)

    class Moving(Running):
        def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
            index.revision = "rev-2"
            return super().embed(pixels)

    parts.embedding = EmbeddingQueue(Moving(parts.clock), parts.clock, parts.metrics, sizes=(1,))
    parts.search = ImageSearch(parts.decoder, parts.embedding, index, parts.clock, parts.metrics)
    assert (await parts.find(still("a"))).revision == "rev-2"


async def test_the_stages_end_where_they_end_in_the_thread() -> None:
    index = Searched()
    parts = Parts(index)
    begun = parts.clock.now

    class Slow(Searched):
        def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
            parts.clock.now += 0.01
            return super().search(probes)

    parts.search = ImageSearch(parts.decoder, parts.embedding, Slow(), parts.clock, parts.metrics)
    found = await parts.find(still("a"))
    assert found.encoded_at - begun == pytest.approx(0.1)
    assert found.searched_at - found.encoded_at == pytest.approx(0.01)


async def test_where_nothing_is_protected_nothing_is_searched() -> None:
    parts = Parts(Searched(size=0))
    waiting = await parts.find(still("a"))
    planes = await parts.find(replace(still("b"), planes=True))
    blank = await parts.find(replace(still("c"), frames=(make_frame(low_information=True),)))
    assert [each.matches for each in (waiting, planes, blank)] == [()] * 3
    assert parts.index.searched_in == {}
    assert (waiting.revision, blank.vectors, sum(parts.encoder.batches)) == ("rev-1", [None], 2)


@pytest.mark.error_logs("the encoder failed")
async def test_without_the_encoder_bytes_and_hash_are_searched_for() -> None:
    parts = Parts(Searched(), RuntimeError("device lost"))
    found = await parts.find(still("a"))
    assert (found.vectors, len(found.matches)) == (None, 1)
    assert [probe.vector for probe in parts.index.asked] == [None]


async def test_past_the_deadline_nobody_is_searched_for() -> None:
    parts = Parts(Searched())
    (found,) = await parts.ask(still("a"), inquiry=Inquiry(deadline=parts.clock.now - 1.0))
    assert isinstance(found, DecodeError)
    assert found.code == ErrorCode.TOO_LATE
    assert parts.index.searched_in == {}
