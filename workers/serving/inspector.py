"""One image in, one verdict out: digest, decode, encode, search.  Nothing that happens to an image raises.

When the encoder fails, or the deadline leaves no time for it, the verdict rests on SHA-256 and PDQ alone and says so
(``degraded``); everything else that goes wrong is the verdict's ``error``.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.errors import DecodeError, ErrorCode
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import (
    AT_LEISURE,
    DecodedFrame,
    DecodedImage,
    FrameTrace,
    Inquiry,
    KnownVerdict,
    Priority,
    Verdict,
    VerdictError,
)
from workers.classifying.labelling import Labelled
from workers.closer_look.kept_look import pack_look
from workers.encoders.embedding_queue import EmbeddingQueue, Embeds
from workers.encoders.embeddings import to_bytes
from workers.image_sets.fingerprint import Fingerprint, look
from workers.search.sign_index import signs
from workers.search.view import looks_at_all
from workers.serving.image_search import Decoded, Decodes, Found, ImageSearch, Index, Vectors
from workers.serving.near_verdicts import NearVerdicts
from workers.serving.refreshing import traces_of

OFF_LOOP_BYTES: Final = 256 << 10
"""SHA-256 does about 1 GB/s: larger files are digested in a thread."""
SPARE_INSPECTIONS: Final = 4
"""Inspections at work up to which an image is looked at closely though no set insists on it and nothing hints at it."""

_log = logging.getLogger(__name__)


class NamedEncoder(Embeds, Protocol):
    """An encoder and its version."""

    @property
    def id(self) -> str:
        """The version, as the index knows it."""
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
        self._search = ImageSearch(decoder, self._embedding, index, clock, metrics)
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
        timings: dict[str, float] = {}  # the verdict's own, to which the whole is added in the end
        begun = self._clock.monotonic()
        self._at_work += 1
        try:
            known = await self._inspect(data, sha256, inquiry, timings)
        except DecodeError as error:
            known = self._refused(sha256, error.code, str(error), timings)
        except Exception:  # noqa: BLE001 - one image's bug must not be the worker's end
            _log.exception("inspecting an image failed")
            message = "an internal error; the worker's log has it"
            known = self._refused(sha256, ErrorCode.INTERNAL_ERROR, message, timings)
        finally:
            self._at_work -= 1
        timings["total"] = _milliseconds(begun, self._clock.monotonic())
        return known

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

    def refusal(self, sha256: str, code: ErrorCode, message: str) -> Verdict:
        """Return a verdict that says why there are no facts."""
        return self._refused(sha256, code, message, {}).verdict

    def _refused(self, sha256: str, code: ErrorCode, message: str, timings: dict[str, float]) -> KnownVerdict:
        verdict = Verdict(
            sha256=sha256,
            encoder=self._encoder.id,
            index_revision=self._index.current().revision,
            error=VerdictError(code=code, message=message),
            timings_ms=timings,
        )
        return KnownVerdict(verdict=verdict)

    async def _inspect(self, data: bytes, sha256: str, inquiry: Inquiry, timings: dict[str, float]) -> KnownVerdict:
        if await digest(data) != sha256:
            raise DecodeError(ErrorCode.INTERNAL_ERROR, "the bytes do not have the digest that was asked for")
        begun = self._clock.monotonic()
        spare = math.isinf(inquiry.deadline) or self._at_work <= SPARE_INSPECTIONS
        planes = bool(inquiry.classifiers) or looks_at_all(self._index.current().sets, spare=spare)
        image = await self._decoder.decode(data, deadline=inquiry.limit, planes=planes)
        timings["decode"] = _milliseconds(begun, self._clock.monotonic())
        if inquiry.near_cache and not inquiry.classifiers:
            near = await asyncio.to_thread(self._near.answer, image, sha256, self._index.current())
            if near is not None:
                self._metrics.count("safelight_worker_near_verdicts_total")
                return KnownVerdict(verdict=replace(near, timings_ms=timings))
        decoded = Decoded(data=data, sha256=sha256, frames=image.frames, planes=planes, spare=spare)
        begun = self._clock.monotonic()
        found = await self._search.find(decoded, inquiry)
        timings["encode"] = _milliseconds(begun, found.encoded_at)
        timings["search"] = _milliseconds(found.encoded_at, found.searched_at)
        self._metrics.observe("safelight_worker_search_seconds", timings["search"] / 1000)
        labelled = await self._label(sha256, inquiry.classifiers, image.frames, found.vectors, timings)
        return self._known(image, sha256, inquiry, found, labelled, timings)

    def _known(
        self,
        image: DecodedImage,
        sha256: str,
        inquiry: Inquiry,
        found: Found,
        labelled: Labelled,
        timings: dict[str, float],
    ) -> KnownVerdict:
        if any(match.matched for match in found.matches):
            self._metrics.count("safelight_worker_matches_total")
        verdict = Verdict(
            sha256=sha256,
            image=image.info,
            pdq=image.frames[0].pdq[0],
            pdq_quality=image.frames[0].pdq_quality,
            matches=found.matches,
            labels=labelled.labels,
            encoder=self._encoder.id,
            index_revision=found.revision,
            classifier_revision=labelled.position,
            degraded=found.vectors is None,
            hurried=any(sight is not None and sight.cut_short for sight in found.sights),
            timings_ms=timings,
        )
        if inquiry.near_cache:
            self._near.remember(image, verdict, self._index.current())
        return KnownVerdict(verdict=verdict, traces=_traces(image, found), classifiers=labelled.revisions)

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
        begun = self._clock.monotonic()
        labelled = await asyncio.to_thread(self._labels.answer, sha256, names, frames, vectors)
        timings["label"] = _milliseconds(begun, self._clock.monotonic())
        self._metrics.observe("safelight_worker_label_seconds", timings["label"] / 1000)
        return labelled


def _milliseconds(begun: float, ended: float) -> float:
    return round((ended - begun) * 1000, 3)


def _traces(image: DecodedImage, found: Found) -> tuple[FrameTrace, ...]:
    if found.vectors is None:
        return ()
    return traces_of(image.frames, found.vectors, [pack_look(sight) for sight in found.sights])


async def digest(data: bytes) -> str:
    """Return the SHA-256 of an image file in hexadecimal."""
    if len(data) > OFF_LOOP_BYTES:
        return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
    return hashlib.sha256(data).hexdigest()
