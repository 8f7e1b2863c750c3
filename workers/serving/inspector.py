"""One image in, one verdict out: digest, decode, encode, search.  Nothing that happens to an image raises.

When the encoder fails, or the deadline leaves no time for it, the verdict rests on SHA-256 and PDQ alone and says so
(``degraded``); everything else that goes wrong is the verdict's ``error``.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.core.matching import SetFacts
from shared.errors import DecodeError, ErrorCode
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import (
    AT_LEISURE,
    DecodedFrame,
    DecodedImage,
    Inquiry,
    KnownVerdict,
    Priority,
    ReferenceMatch,
    Verdict,
    VerdictError,
)
from workers.classifying.labelling import Labelled
from workers.closer_look.evidence import PictureNeededError, Sight, UnseenSight
from workers.closer_look.kept_look import pack_look
from workers.decoding.pixels import plane_of
from workers.encoders.embedding_queue import EmbeddingQueue, Embeds
from workers.encoders.embeddings import to_bytes
from workers.image_sets.collisions import Neighbours
from workers.image_sets.fingerprint import Fingerprint, look
from workers.search.frame_matches import best_over_frames
from workers.search.sign_index import signs
from workers.search.view import looks_at_all
from workers.serving.near_verdicts import NearVerdicts
from workers.serving.refreshing import traces_of

OFF_LOOP_BYTES: Final = 256 << 10
"""SHA-256 does about 1 GB/s: larger files are digested in a thread."""
LOOK_RESERVE: Final = 0.5
"""Seconds before the deadline after which nothing is looked at closely: under load that is what is shed first."""
SPARE_INSPECTIONS: Final = 4
"""Inspections at work up to which an image is looked at closely though no set insists on it and nothing hints at it."""

SEARCH_RESERVE: Final = 0.02
"""Seconds before the deadline by which the encoder must be done: for the search, the reply and its way back."""

type Frames = Sequence[DecodedFrame]
type Vectors = Sequence[NDArray[np.float32] | None]

_log = logging.getLogger(__name__)


class Decodes(Protocol):
    """What turns bytes into pixels, such as a DecodePool."""

    async def decode(
        self, data: bytes, *, deadline: float | None = None, views: bool = False, planes: bool = True
    ) -> DecodedImage:
        """Return the image, with a reference's views and with planes where they are wanted; raises DecodeError."""
        ...


class NamedEncoder(Embeds, Protocol):
    """An encoder and its version."""

    @property
    def id(self) -> str:
        """The version, as the index knows it."""
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


class Index(Protocol):
    """What knows the newest view, such as an IndexReplica."""

    def current(self) -> Searches:
        """Return it."""
        ...


class Labels(Protocol):
    """What gives labels, such as a Labeller."""

    def answer(
        self,
        sha256: str,
        names: Sequence[str],
        frames: Sequence[DecodedFrame],
        vectors: Sequence[NDArray[np.float32] | None],
    ) -> Labelled:
        """Return what the named classifiers say of a file; computes, so it is called in a thread."""
        ...


class Examines(Protocol):
    """What judges images, such as an Inspector."""

    async def examine(self, data: bytes, sha256: str, inquiry: Inquiry) -> KnownVerdict:
        """Return the verdict on an image by its deadline, and what it was searched by; raises nothing."""
        ...

    def refusal(self, sha256: str, code: ErrorCode, message: str) -> Verdict:
        """Return a verdict that says why there are no facts."""
        ...


class Inspector:
    """Judges images between ``start`` and ``stop``; ``batch_sizes`` are those of the encoder's runs."""

    def __init__(
        self,
        decoder: Decodes,
        encoder: NamedEncoder,
        index: Index,
        clock: Clock,
        metrics: Metrics,
        *,
        batch_sizes: Sequence[int] = (1, 2, 4, 8),
        labels: Labels | None = None,
    ) -> None:
        self._labels = labels
        self._decoder = decoder
        self._encoder = encoder
        self._index = index
        self._clock = clock
        self._metrics = metrics
        self._embedding = EmbeddingQueue(encoder, clock, metrics, sizes=batch_sizes)
        self._near = NearVerdicts()
        self._at_work = 0

    def start(self) -> None:
        """Begin to serve."""
        self._embedding.start()

    async def stop(self) -> None:
        """Serve no more; idempotent.  The decoder is its owner's to stop."""
        await self._embedding.stop()

    async def inspect(self, data: bytes, sha256: str, inquiry: Inquiry = AT_LEISURE) -> Verdict:
        """Return the verdict on ``data``, whose digest the asker says is ``sha256``."""
        return (await self.examine(data, sha256, inquiry)).verdict

    async def examine(self, data: bytes, sha256: str, inquiry: Inquiry) -> KnownVerdict:
        """Return the verdict and what it takes to bring it up to date when the index has changed.

        It has the labels that are asked for and no others: they cost a few milliseconds that nobody else pays.
        """
        timings: dict[str, float] = {}
        self._at_work += 1
        try:
            with self._timed("total", timings):
                return await self._inspect(data, sha256, inquiry, timings)
        except DecodeError as error:
            refusal = self.refusal(sha256, error.code, str(error), timings)
        except Exception:  # noqa: BLE001 - one image's bug must not be the worker's end
            _log.exception("inspecting an image failed")
            code, message = ErrorCode.INTERNAL_ERROR, "an internal error; the worker's log has it"
            refusal = self.refusal(sha256, code, message, timings)
        finally:
            self._at_work -= 1
        return KnownVerdict(verdict=refusal)

    async def fingerprint(self, data: bytes) -> Fingerprint:
        """Return what the index keeps of a reference; raises DecodeError, or what the encoder does."""
        image = await self._decoder.decode(data, views=True)
        frame = image.frames[0]
        pictures = (frame.pixels, *frame.views)
        seen, (whole, *views) = await asyncio.gather(
            asyncio.to_thread(look, frame),
            asyncio.gather(*(self._embedding.embed(each, priority=Priority.BACKGROUND) for each in pictures)),
        )
        return Fingerprint(
            sha256=await digest(data),
            info=image.info,
            pdq=frame.pdq,
            pdq_quality=frame.pdq_quality,
            vectors=(to_bytes(whole),),
            encoder=self._encoder.id,
            views=signs(np.stack(views)) if views else b"",
            local=seen.local,
            sketch=seen.sketch,
            plane=frame.plane,
            plane_size=frame.plane_size,
            features=seen.features,
        )

    def refusal(
        self, sha256: str, code: ErrorCode, message: str, timings: Mapping[str, float] | None = None
    ) -> Verdict:
        """Return a verdict that says why there are no facts."""
        return Verdict(
            sha256=sha256,
            encoder=self._encoder.id,
            index_revision=self._index.current().revision,
            error=VerdictError(code=code, message=message),
            timings_ms=dict(timings or {}),
        )

    async def _inspect(self, data: bytes, sha256: str, inquiry: Inquiry, timings: dict[str, float]) -> KnownVerdict:
        if await digest(data) != sha256:
            raise DecodeError(ErrorCode.INTERNAL_ERROR, "the bytes do not have the digest that was asked for")
        with self._timed("decode", timings):
            spare = math.isinf(inquiry.deadline) or self._at_work <= SPARE_INSPECTIONS
            planes = bool(inquiry.classifiers) or looks_at_all(self._index.current().sets, spare=spare)
            image = await self._decoder.decode(data, deadline=inquiry.limit, planes=planes)
        if inquiry.near_cache and not inquiry.classifiers:
            near = await asyncio.to_thread(self._near.answer, image, sha256, self._index.current())
            if near is not None:
                self._metrics.count("safelight_worker_near_verdicts_total")
                return KnownVerdict(verdict=replace(near, timings_ms=timings))
        see = partial(self._sight, until=inquiry.deadline - LOOK_RESERVE, spare=spare)
        sights = [see(frame, unseen=not planes) for frame in image.frames]
        ahead = self._look_ahead(image.frames, sights, spare=spare)
        with self._timed("encode", timings):
            vectors = await self._embed(image.frames, inquiry)
        with self._timed("search", timings):
            view = self._index.current()
            search = partial(self._search, view, vectors, sha256)
            try:
                matches = await search(image.frames, sights)
            except PictureNeededError:
                frames = await self._with_planes(data, image.frames, inquiry)
                sights = [see(frame) for frame in frames]
                matches = await search(frames, sights)
            await asyncio.gather(ahead, return_exceptions=True)  # what one raised its search raised again
        self._metrics.observe("safelight_worker_search_seconds", timings["search"] / 1000)
        labelled = await self._label(sha256, inquiry.classifiers, image.frames, vectors, timings)
        if any(match.matched for match in matches):
            self._metrics.count("safelight_worker_matches_total")
        verdict = Verdict(
            sha256=sha256,
            image=image.info,
            pdq=image.frames[0].pdq[0],
            pdq_quality=image.frames[0].pdq_quality,
            matches=matches,
            labels=labelled.labels,
            encoder=self._encoder.id,
            index_revision=view.revision,
            classifier_revision=labelled.position,
            degraded=vectors is None,
            hurried=any(sight is not None and sight.cut_short for sight in sights),
            timings_ms=timings,
        )
        if inquiry.near_cache:
            self._near.remember(image, verdict, self._index.current())
        traces = () if vectors is None else traces_of(image.frames, vectors, [pack_look(sight) for sight in sights])
        return KnownVerdict(verdict=verdict, traces=traces, classifiers=labelled.revisions)

    async def _embed(self, frames: Sequence[DecodedFrame], inquiry: Inquiry) -> Vectors | None:
        """Return a vector for each frame (None for one that shows nothing).

        None where the encoder fails or the deadline leaves no time for it; raises DecodeError past the deadline.
        """
        limit = None if inquiry.limit is None else inquiry.limit - SEARCH_RESERVE
        telling = [number for number, frame in enumerate(frames) if not frame.low_information]
        try:
            asked = [
                self._embedding.embed(frames[number].pixels, deadline=limit, priority=inquiry.priority)
                for number in telling
            ]
            found = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)  # which takes tasks
        except DecodeError:
            if self._clock.monotonic() >= inquiry.deadline:
                raise
            return None
        except Exception as error:  # noqa: BLE001 - whatever the runtime raises, the exact matchers still work
            _log.error("the encoder failed, this verdict is degraded: %s", error)
            return None
        vectors: list[NDArray[np.float32] | None] = [None] * len(frames)
        for number, vector in zip(telling, found, strict=True):
            vectors[number] = vector
        return vectors

    async def _label(
        self,
        sha256: str,
        names: Sequence[str],
        frames: Sequence[DecodedFrame],
        vectors: Vectors | None,
        timings: dict[str, float],
    ) -> Labelled:
        """Return the labels; none where none are asked for, or nothing is known that they could rest on."""
        if not names or self._labels is None or vectors is None:
            return Labelled()
        with self._timed("label", timings):
            labelled = await asyncio.to_thread(self._labels.answer, sha256, names, frames, vectors)
        self._metrics.observe("safelight_worker_label_seconds", timings["label"] / 1000)
        return labelled

    async def _with_planes(self, data: bytes, frames: Frames, inquiry: Inquiry) -> Frames:
        """Return the frames with what a closer look needs; as they are where they cannot be decoded once more."""
        try:
            return (await self._decoder.decode(data, deadline=inquiry.limit)).frames
        except DecodeError as error:
            _log.warning("an image that was decoded cannot be looked at closely: %s", error)
            return frames

    def _look_ahead(self, frames: Frames, sights: Sequence[Sight | None], *, spare: bool) -> asyncio.Future[None]:
        """Begin to look for the features of what will be looked at in any case, while encoder and index are asked."""

        def look() -> None:
            for frame, sight in zip(frames, sights, strict=True):
                if sight is not None and frame.plane and sight.in_time():
                    sight.look()

        loop = asyncio.get_running_loop()
        if looks_at_all(self._index.current().sets, spare=spare):
            return loop.create_task(asyncio.to_thread(look))
        nothing: asyncio.Future[None] = loop.create_future()
        nothing.set_result(None)
        return nothing

    async def _search(
        self,
        view: Searches,
        vectors: Vectors | None,
        sha256: str,
        frames: Sequence[DecodedFrame],
        sights: Sequence[Sight | None],
    ) -> tuple[ReferenceMatch, ...]:
        """Return the matches; raises PictureNeededError where a frame is to be looked at whose plane is not there."""
        if not any(facts.size for facts in view.sets.values()):
            return ()

        def search() -> list[tuple[ReferenceMatch, ...]]:
            # In the thread as well: a vector's discount takes 0.2 ms, for which nobody else would be served.
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
            return view.search(probes)

        found = await asyncio.to_thread(search)
        for sight, matches in zip(sights, found, strict=True):
            if sight is not None and (sight.looked or sight.cut_short):
                self._metrics.count("safelight_worker_closer_looks_total", outcome=_outcome(sight, matches))
        return best_over_frames([frame.index for frame in frames], found)

    def _sight(self, frame: DecodedFrame, *, until: float, spare: bool, unseen: bool = False) -> Sight | None:
        if frame.low_information:
            return None
        if frame.plane:
            return Sight(plane_of(frame), frame.size, self._clock.monotonic, until, spare=spare)
        # Where its plane could not be had, no time is left for it.
        return UnseenSight(frame.size, self._clock.monotonic, until if unseen else -math.inf, spare=spare)

    @contextmanager
    def _timed(self, stage: str, timings: dict[str, float]) -> Iterator[None]:
        started = self._clock.monotonic()
        try:
            yield
        finally:
            timings[stage] = round((self._clock.monotonic() - started) * 1000, 3)


def _outcome(sight: Sight, matches: Sequence[ReferenceMatch]) -> str:
    if any(match.evidence is not None for match in matches):
        return "found"
    return "out_of_time" if sight.cut_short else "nothing"


async def digest(data: bytes) -> str:
    """Return the SHA-256 of an image file in hexadecimal."""
    if len(data) > OFF_LOOP_BYTES:
        return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
    return hashlib.sha256(data).hexdigest()
