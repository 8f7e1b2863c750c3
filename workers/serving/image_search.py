"""What encoder and index say of an image's frames.

Of an image that is looked at closely only where something hints at it, the plane waits to be decoded, and the first
step of its search costs a millisecond: it is taken right behind the encoder, in the thread that ran its batch.  A
closer look takes 20 to 50 ms, and so does the first step among a million references.  No other image of the batch has
to wait for that: it has a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.core.matching import SetFacts
from shared.errors import DecodeError
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import DecodedFrame, DecodedImage, Inquiry, ReferenceMatch
from workers.closer_look.evidence import PictureNeededError, Sight, UnseenSight
from workers.decoding.pixels import plane_of
from workers.encoders.embedding_queue import EmbeddingQueue
from workers.image_sets.collisions import Neighbours
from workers.search.frame_matches import best_over_frames
from workers.search.view import looks_at_all

LOOK_RESERVE: Final = 0.5
"""Seconds before the deadline after which nothing is looked at closely: under load that is what is shed first."""
SEARCH_RESERVE: Final = 0.02
"""Seconds before the deadline by which the encoder must be done: for the search, the reply and its way back."""
LARGEST_BEHIND_THE_ENCODER: Final = 20_000
"""References among which the first step is taken in the encoder's thread: 2.4 ms among 10,000, 5 to 8 among 100,000,
for which no other image of the batch is to wait."""

type Frames = Sequence[DecodedFrame]
type Sights = Sequence[Sight | None]
type Vectors = Sequence[NDArray[np.float32] | None]

_log = logging.getLogger(__name__)


class Decodes(Protocol):
    """What turns bytes into pixels, such as a DecodePool."""

    async def decode(
        self, data: bytes, *, deadline: float | None = None, views: bool = False, planes: bool = True
    ) -> DecodedImage:
        """Return the image, with a reference's views and with planes where they are wanted; raises DecodeError."""
        ...


class Searches(Neighbours, Protocol):
    """The index at one revision, such as an IndexView."""

    @property
    def revision(self) -> str:
        """Names the state that is searched."""
        ...

    @property
    def sets(self) -> Mapping[str, SetFacts]:
        """The image sets by name."""
        ...

    @property
    def size(self) -> int:
        """How many references a search goes through."""
        ...


class Index(Protocol):
    """What knows the newest view, such as an IndexReplica."""

    def current(self) -> Searches:
        """Return it; called in threads, too."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """An image as it was decoded, and how it is to be looked at.

    ``planes``: they were asked for, so that one that is missing was not to be had; ``spare``: there is time for a
    closer look that no set insists on.
    """

    data: bytes
    sha256: str
    frames: Frames
    planes: bool
    spare: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found, best first, in the index of a ``revision``, and the readings of the clock after either stage.

    ``vectors`` are the frames' (None for one that shows nothing), None where the encoder failed or had no time;
    ``sights`` the frames as they were looked at.
    """

    matches: tuple[ReferenceMatch, ...]
    revision: str
    vectors: Vectors | None
    sights: Sights
    encoded_at: float
    searched_at: float


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a view of a ``revision`` found of each frame."""

    found: Sequence[tuple[ReferenceMatch, ...]]
    revision: str


class ImageSearch:
    """Encodes images by ``embedding``, and searches the newest view of ``index`` for them."""

    def __init__(
        self, decoder: Decodes, embedding: EmbeddingQueue, index: Index, clock: Clock, metrics: Metrics
    ) -> None:
        self._decoder = decoder
        self._embedding = embedding
        self._index = index
        self._clock = clock
        self._metrics = metrics

    async def find(self, image: Decoded, inquiry: Inquiry) -> Found:
        """Return what is found; raises DecodeError past the deadline, and what the search raises."""
        sights = [self._sight(frame, image, inquiry, waits=not image.planes) for frame in image.frames]
        short = self._index.current().size <= LARGEST_BEHIND_THE_ENCODER
        if short and len(sights) == 1 and isinstance(sights[0], UnseenSight):
            return await self._find_behind_the_encoder(image, inquiry, sights)
        ahead = self._look_ahead(image, sights)
        try:
            vectors = await self._unless_it_fails(self._embed(image.frames, inquiry), inquiry)
            return await self._find(image, inquiry, vectors, sights, self._clock.monotonic())
        finally:
            if ahead is not None:
                await asyncio.gather(ahead, return_exceptions=True)  # what one raised its search raised again

    async def _find_behind_the_encoder(self, image: Decoded, inquiry: Inquiry, sights: Sights) -> Found:
        (frame,) = image.frames
        search = partial(self._first_step, image, sights)
        asked = self._embedding.embed_then(
            frame.pixels, search, deadline=_encoder_limit(inquiry), priority=inquiry.priority
        )
        embedded = await self._unless_it_fails(asked, inquiry)
        if embedded is None:
            return await self._find(image, inquiry, None, sights, self._clock.monotonic())
        vectors = (embedded.vector,)
        try:
            answer = embedded.result()
        except PictureNeededError:
            return await self._find_in_the_picture(image, inquiry, vectors, embedded.encoded_at)
        return self._found(image, answer, vectors, sights, (embedded.encoded_at, embedded.made_at))

    async def _find(
        self, image: Decoded, inquiry: Inquiry, vectors: Vectors | None, sights: Sights, encoded_at: float
    ) -> Found:
        """Search in a thread of its own."""
        try:
            answer = await self._ask(image, image.frames, vectors, sights)
        except PictureNeededError:
            return await self._find_in_the_picture(image, inquiry, vectors, encoded_at)
        return self._found(image, answer, vectors, sights, (encoded_at, self._clock.monotonic()))

    async def _find_in_the_picture(
        self, image: Decoded, inquiry: Inquiry, vectors: Vectors | None, encoded_at: float
    ) -> Found:
        """Search once more with what a closer look needs, which takes to decode the image once more."""
        frames = await self._with_planes(image, inquiry)
        sights = [self._sight(frame, image, inquiry) for frame in frames]
        answer = await self._ask(image, frames, vectors, sights)
        return self._found(image, answer, vectors, sights, (encoded_at, self._clock.monotonic()))

    def _first_step(self, image: Decoded, sights: Sights, vector: NDArray[np.float32]) -> _Answer:
        return _answer(self._index.current(), image.sha256, image.frames, (vector,), sights)

    async def _ask(self, image: Decoded, frames: Frames, vectors: Vectors | None, sights: Sights) -> _Answer:
        view = self._index.current()
        if not _holds_references(view):
            return _Answer([()] * len(frames), view.revision)
        return await asyncio.to_thread(_answer, view, image.sha256, frames, vectors, sights)

    def _found(
        self, image: Decoded, answer: _Answer, vectors: Vectors | None, sights: Sights, stages: tuple[float, float]
    ) -> Found:
        for sight, matches in zip(sights, answer.found, strict=True):
            if sight is not None and (sight.looked or sight.cut_short):
                self._metrics.count("safelight_worker_closer_looks_total", outcome=_outcome(sight, matches))
        encoded_at, searched_at = stages
        return Found(
            matches=best_over_frames([frame.index for frame in image.frames], answer.found),
            revision=answer.revision,
            vectors=vectors,
            sights=sights,
            encoded_at=encoded_at,
            searched_at=searched_at,
        )

    async def _embed(self, frames: Frames, inquiry: Inquiry) -> Vectors:
        """Return a vector for each frame, None for one that shows nothing."""
        telling = [number for number, frame in enumerate(frames) if not frame.low_information]
        asked = [
            self._embedding.embed(frames[number].pixels, deadline=_encoder_limit(inquiry), priority=inquiry.priority)
            for number in telling
        ]
        found = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)  # which takes tasks
        vectors: list[NDArray[np.float32] | None] = [None] * len(frames)
        for number, vector in zip(telling, found, strict=True):
            vectors[number] = vector
        return vectors

    async def _unless_it_fails[T](self, asked: Awaitable[T], inquiry: Inquiry) -> T | None:
        """Return what the encoder gives; None where it fails or the deadline leaves no time for it.

        Raises DecodeError past the deadline.
        """
        try:
            return await asked
        except DecodeError:
            if self._clock.monotonic() >= inquiry.deadline:
                raise
        except Exception as error:  # noqa: BLE001 - whatever the runtime raises, the exact matchers still work
            _log.error("the encoder failed, this verdict is degraded: %s", error)
        return None

    async def _with_planes(self, image: Decoded, inquiry: Inquiry) -> Frames:
        """Return the frames with what a closer look needs; as they are where they cannot be decoded once more."""
        try:
            return (await self._decoder.decode(image.data, deadline=inquiry.limit)).frames
        except DecodeError as error:
            _log.warning("an image that was decoded cannot be looked at closely: %s", error)
            return image.frames

    def _look_ahead(self, image: Decoded, sights: Sights) -> asyncio.Task[None] | None:
        """Begin to look for the features of what will be looked at in any case, while encoder and index are asked."""
        if not looks_at_all(self._index.current().sets, spare=image.spare):
            return None

        def look() -> None:
            for frame, sight in zip(image.frames, sights, strict=True):
                if sight is not None and frame.plane and sight.in_time():
                    sight.look()

        return asyncio.get_running_loop().create_task(asyncio.to_thread(look))

    def _sight(self, frame: DecodedFrame, image: Decoded, inquiry: Inquiry, *, waits: bool = False) -> Sight | None:
        """``waits``: the plane is decoded when it is needed."""
        if frame.low_information:
            return None
        until = inquiry.deadline - LOOK_RESERVE
        if frame.plane:
            return Sight(plane_of(frame), frame.size, self._clock.monotonic, until, spare=image.spare)
        # Where its plane could not be had, no time is left for it.
        return UnseenSight(frame.size, self._clock.monotonic, until if waits else -math.inf, spare=image.spare)


def _answer(view: Searches, sha256: str, frames: Frames, vectors: Vectors | None, sights: Sights) -> _Answer:
    """Search; raises PictureNeededError where a frame is to be looked at whose plane is not there.

    Call it in a thread: a vector's discount alone takes 0.2 ms, for which nobody else would be served.
    """
    if not _holds_references(view):
        return _Answer([()] * len(frames), view.revision)
    probes = [
        view.probe(
            sha256,
            vector,
            frame.pdq,
            pdq_quality=frame.pdq_quality,
            low_information=frame.low_information,
            sight=sight,
        )
        for frame, vector, sight in zip(frames, vectors or [None] * len(frames), sights, strict=True)
    ]
    return _Answer(view.search(probes), view.revision)


def _holds_references(view: Searches) -> bool:
    return any(facts.size for facts in view.sets.values())


def _encoder_limit(inquiry: Inquiry) -> float | None:
    return None if inquiry.limit is None else inquiry.limit - SEARCH_RESERVE


def _outcome(sight: Sight, matches: Sequence[ReferenceMatch]) -> str:
    if any(match.evidence is not None for match in matches):
        return "found"
    return "out_of_time" if sight.cut_short else "nothing"


__all__ = ["Decoded", "Decodes", "Found", "ImageSearch", "Index", "Searches"]
