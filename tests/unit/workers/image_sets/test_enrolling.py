"""Images are added in their order, looked at ahead of their turn, and held only a few at a time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from shared.errors import StoreError, UsageError
from tests.index_factories import SEALER, SeedFingerprinter
from tests.memory_store import MemoryStore
from workers.image_sets.enrolling import AHEAD, AHEAD_BYTES, Submitted, add_all
from workers.image_sets.enrolment import AddResult, ImageSets
from workers.image_sets.fingerprint import Fingerprint

SEEDS = SeedFingerprinter()
REFUSED = AddResult(set="designs", name="gone", reference="", sha256="", status="rejected", error="unreadable")


class Recorder(SeedFingerprinter):
    """Tells what was looked at; the first of them waits until as many as may be under way are."""

    def __init__(self, at_once: int = 1) -> None:
        self.looked: list[bytes] = []
        self._under_way = 0
        self._enough = asyncio.Event()
        self._at_once = at_once

    async def fingerprint(self, data: bytes) -> Fingerprint:
        self.looked.append(data)
        self._under_way += 1
        if self._under_way >= self._at_once:
            self._enough.set()
        await self._enough.wait()
        return await super().fingerprint(data)


class Reader:
    """Hands out images and knows how far it was read, and whether it was closed."""

    def __init__(self, images: Sequence[bytes | AddResult], error: Exception | None = None) -> None:
        self.images = images
        self.error = error
        self.read = 0
        self.closed = False

    async def each(self) -> AsyncGenerator[Submitted[int]]:
        try:
            for number, image in enumerate(self.images, 1):
                self.read = number
                if isinstance(image, AddResult):
                    yield Submitted(place=self.read, name=image.name, refused=image)
                else:
                    yield Submitted(place=self.read, name=f"{self.read}.png", data=image)
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


async def make_sets() -> ImageSets:
    sets = ImageSets(MemoryStore(), SEALER)
    await sets.create("designs")
    return sets


async def added(sets: ImageSets, reader: Reader, looks: SeedFingerprinter) -> list[tuple[int, str]]:
    results = add_all(sets, "designs", reader.each(), looks)
    return [(place, result.error or result.status) async for place, result in results]


async def test_what_became_of_each_comes_in_order() -> None:
    sets = await make_sets()
    images: list[bytes | AddResult] = [b"1", b"no image", REFUSED, b"2", b"blank", b"1", b"3"]
    outcomes = ["added", "not_an_image", "unreadable", "added", "low_information", "duplicate", "added"]
    assert await added(sets, Reader(images), SEEDS) == list(enumerate(outcomes, 1))
    assert [reference.name for reference in (await sets.show("designs")).references] == ["1.png", "4.png", "7.png"]


async def test_the_next_images_are_looked_at_meanwhile() -> None:
    # The first one's look ends only when so many are under way.
    looks = Recorder(at_once=AHEAD)
    outcome = await added(await make_sets(), Reader([b"%d" % number for number in range(3 * AHEAD)]), looks)
    assert {status for _, status in outcome} == {"added"}
    assert sorted(looks.looked) == sorted(b"%d" % number for number in range(3 * AHEAD))


async def test_no_more_are_read_than_may_be_held() -> None:
    reader = Reader([b"%d" % number for number in range(50)])
    async with aclosing(add_all(await make_sets(), "designs", reader.each(), SEEDS)) as results:
        await anext(results)
        # One was added, one more than may be held waits for its place.
        assert reader.read <= AHEAD + 2
    assert reader.closed


async def test_large_files_wait_for_one_another() -> None:
    looks, large = Recorder(), AHEAD_BYTES // 2 + 1
    reader = Reader([b"%d" % number + bytes(large) for number in range(4)])
    async with aclosing(add_all(await make_sets(), "designs", reader.each(), looks)) as results:
        await anext(results)
        assert reader.read <= 3


async def test_what_is_a_duplicate_for_sure_is_not_looked_at() -> None:
    sets, looks = await make_sets(), Recorder()
    await sets.add("designs", "a.png", b"7", SEEDS)
    assert await added(sets, Reader([b"7", b"8", b"8", b"7"]), looks) == [
        (1, "duplicate"),
        (2, "added"),
        (3, "duplicate"),
        (4, "duplicate"),
    ]
    assert looks.looked == [b"8"]


async def test_the_same_image_again_is_looked_at_where_the_first_was_not_added() -> None:
    assert await added(await make_sets(), Reader([b"blank", b"blank"]), SEEDS) == [
        (1, "low_information"),
        (2, "low_information"),
    ]


async def test_what_reading_raises_comes_after_what_was_read() -> None:
    sets = await make_sets()
    with pytest.raises(StoreError, match="gone"):
        await added(sets, Reader([b"1", b"2"], StoreError("gone")), SEEDS)
    assert [reference.name for reference in (await sets.show("designs")).references] == ["1.png", "2.png"]


async def test_an_unknown_set_is_said_and_nothing_goes_on() -> None:
    reader = Reader([b"%d" % number for number in range(20)])
    with pytest.raises(UsageError, match="no image set designs"):
        await added(ImageSets(MemoryStore(), SEALER), reader, SEEDS)
    assert reader.closed
