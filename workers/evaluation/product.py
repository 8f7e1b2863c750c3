"""The product's own path as a method: its decoder, its encoder, its enrolment, its index, its fused score.

Nothing here scores or searches. Pictures go through the worker's `Inspector`, only its decode child runs in this
process: what an evaluation hands in are its own bitmaps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Self

import numpy as np

from shared.adapters.role import SystemClock
from shared.errors import IntegrityError
from shared.telemetry import Metrics
from shared.types import DecodedImage, Reference, ReferenceMatch, Relation, SetCreated, Verdict
from workers.decoding.child import Limits, decode
from workers.encoders.encoder import Encoder
from workers.evaluation.methods import Ranking, Sample
from workers.evaluation.pictures import MAX_PIXELS
from workers.image_sets.enrolment import DEFAULT_THRESHOLD
from workers.image_sets.fingerprint import Fingerprint
from workers.index.state import IndexState
from workers.index.view_builder import ViewBuilder
from workers.search.view import IndexView
from workers.serving.inspector import Inspector

SET: Final = "evaluation"

_log = logging.getLogger(__name__)


class DirectDecoder:
    """Decodes in this process what an evaluation made itself."""

    def __init__(self, side: int) -> None:
        self._limits = Limits(side=side, max_pixels=MAX_PIXELS)

    async def decode(
        self, data: bytes, *, deadline: float | None = None, views: bool = False, planes: bool = True
    ) -> DecodedImage:
        """Return the image; raises DecodeError."""
        return decode(data, self._limits, views=views, planes=planes)


class FixedIndex:
    """An index that does not change while it is measured."""

    def __init__(self, view: IndexView) -> None:
        self.view = view

    def current(self) -> IndexView:
        """Return it."""
        return self.view


def build_view(encoder: Encoder, references: Sequence[Reference], sets: Sequence[SetCreated]) -> IndexView:
    """The index over these references, as a replica builds it."""

    def refused(error: IntegrityError) -> None:
        _log.warning("a reference was passed over: %s", error)

    builder = ViewBuilder(encoder.id, encoder.calibration, refused)
    state = IndexState(list(sets), list(references))
    builder.restore(state)
    job = builder.begin()
    builder.adopt(job, builder.build_segment(job, lambda: False))
    return builder.build(builder.inputs(state, 1))


class Product:
    """The worker's inspection on a loop of its own; a context manager."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._index = FixedIndex(build_view(encoder, (), ()))
        self._inspector = Inspector(
            DirectDecoder(encoder.side), encoder, self._index, SystemClock(), Metrics(), batch_sizes=(1,)
        )
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self._runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._inspector.stop())
        self._runner.close()

    async def _start(self) -> None:
        self._inspector.start()

    def fingerprint(self, data: bytes) -> Fingerprint:
        """What is kept of a file; raises DecodeError, EncoderUnavailableError."""
        return self._runner.run(self._inspector.fingerprint(data))

    def search_in(self, view: IndexView) -> None:
        """Search this index from now on."""
        self._index.view = view

    def inspect(self, data: bytes) -> Verdict:
        """The verdict on a file."""
        return self._runner.run(self._inspector.inspect(data, sha256(data).hexdigest()))


def without_local_features(reference: Reference) -> Reference:
    """The same reference as bytes, hash and encoder alone know it."""
    return replace(reference, local=b"", sketch=b"")


def copies(matches: Sequence[ReferenceMatch]) -> list[ReferenceMatch]:
    """The matches that say copy, best first."""
    return [match for match in matches if match.relation is Relation.COPY]


class Enrolment:
    """The references of one evaluation, fingerprinted once for all ways to search them."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self.references: Final[list[Reference]] = []
        self._last: tuple[bytes, Reference] | None = None

    def add(self, sample: Sample) -> None:
        """Fingerprint the next reference, once however many methods hand it in."""
        if self._last is not None and self._last[0] is sample.data:
            return
        fingerprint = self._product.fingerprint(sample.data)
        self.references.append(fingerprint.as_reference(str(len(self.references)), set_name=SET))
        self._last = (sample.data, self.references[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the product is asked: its row's name and mode, and whether a set is thorough or has no local features."""

    name: str
    mode: str
    thorough: bool = False
    local: bool = True


WAYS: Final = (
    Way(name="PDQ + encoder + views", mode="no local features", local=False),
    Way(name="whole path", mode="gated"),
    Way(name="whole path", mode="thorough", thorough=True),
)


class WholePath:
    """The product's inspection: score and rank are its own; what it does not report counts as not found."""

    def __init__(self, product: Product, enrolment: Enrolment, encoder: Encoder, way: Way) -> None:
        self.name = way.name
        self.mode = way.mode
        self._product = product
        self._enrolment = enrolment
        self._encoder = encoder
        self._way = way
        self._view: IndexView | None = None

    def enrol(self, sample: Sample) -> None:
        """Take in the next reference."""
        self._enrolment.add(sample)

    def ready(self) -> None:
        """Build the index."""
        references: Sequence[Reference] = self._enrolment.references
        if not self._way.local:
            references = [without_local_features(reference) for reference in references]
        created = SetCreated(name=SET, threshold=DEFAULT_THRESHOLD, thorough=self._way.thorough)
        self._view = build_view(self._encoder, references, [created])

    def query(self, sample: Sample) -> Ranking:
        """Rank by the fused score."""
        if self._view is None:
            raise RuntimeError("nothing is enrolled")
        self._product.search_in(self._view)
        found = copies(self._product.inspect(sample.data).matches)
        return Ranking(
            np.array([int(match.reference) for match in found], np.int64), np.array([match.score for match in found])
        )
