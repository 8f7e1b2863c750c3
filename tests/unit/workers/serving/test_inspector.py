"""One image in, one verdict out, whatever happens on the way."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.core.matching import SetFacts
from shared.errors import DecodeError, ErrorCode
from shared.telemetry import Metrics
from shared.types import AT_LEISURE, DecodedFrame, DecodedImage, Inquiry, LabelScore, NearVerdict, ReferenceMatch
from tests.factories import make_frame, make_match
from tests.inspection_doubles import KnownDecoder, KnownEncoder, KnownIndex, StillClock, digest
from tests.local_feature_factories import plane
from workers.classifying.labelling import Labelled
from workers.encoders.embeddings import from_bytes
from workers.search.live_segment import Probe
from workers.serving.inspector import OFF_LOOP_BYTES, Inspector

DATA = b"an image"


@asynccontextmanager
async def inspecting(
    decoder: KnownDecoder | None = None, encoder: KnownEncoder | None = None, index: KnownIndex | None = None
) -> AsyncIterator[tuple[Inspector, Metrics]]:
    metrics = Metrics()
    inspector = Inspector(
        decoder or KnownDecoder(), encoder or KnownEncoder(), index or KnownIndex(), StillClock(), metrics
    )
    inspector.start()
    try:
        yield inspector, metrics
    finally:
        await inspector.stop()


async def test_a_verdict_holds_every_fact() -> None:
    decoder = KnownDecoder()
    async with inspecting(decoder) as (inspector, metrics):
        verdict = await inspector.inspect(DATA, digest(DATA), Inquiry(deadline=200.0))
    assert verdict.error is None
    assert verdict.image is not None
    assert (verdict.pdq, verdict.pdq_quality, verdict.encoder, verdict.index_revision) == (
        "a" * 64,
        90,
        "encoder-1",
        "rev-1",
    )
    assert [match.reference for match in verdict.matches] == ["r-1"]
    assert not verdict.degraded
    assert set(verdict.timings_ms) == {"decode", "encode", "search", "total"}
    assert decoder.deadlines == [200.0]
    assert metrics.value("safelight_worker_matches_total") == 1


async def test_what_does_not_match_is_not_counted_as_a_match() -> None:
    async with inspecting(index=KnownIndex(matched=False)) as (inspector, metrics):
        await inspector.inspect(DATA, digest(DATA))
    assert metrics.value("safelight_worker_matches_total") == 0


@pytest.mark.parametrize("code", [ErrorCode.CORRUPT, ErrorCode.DECODER_CRASHED, ErrorCode.TOO_LATE])
async def test_a_decode_error_is_the_verdict_s(code: ErrorCode) -> None:
    async with inspecting(KnownDecoder(DecodeError(code, "why"))) as (inspector, _):
        verdict = await inspector.inspect(DATA, digest(DATA))
    assert verdict.error is not None
    assert (verdict.error.code, verdict.error.message, verdict.sha256) == (code, "why", digest(DATA))


@pytest.mark.error_logs("inspecting an image failed")
async def test_a_bug_is_an_internal_error_without_its_details() -> None:
    async with inspecting(KnownDecoder(KeyError("secret detail"))) as (inspector, _):
        verdict = await inspector.inspect(DATA, digest(DATA))
    assert verdict.error is not None
    assert verdict.error.code == ErrorCode.INTERNAL_ERROR
    assert "secret" not in verdict.error.message


@pytest.mark.error_logs("the encoder failed")
async def test_without_the_encoder_the_verdict_is_degraded() -> None:
    index = KnownIndex()
    async with inspecting(encoder=KnownEncoder(RuntimeError("device lost")), index=index) as (inspector, _):
        verdict = await inspector.inspect(DATA, digest(DATA))
    assert verdict.error is None
    assert verdict.degraded
    assert [probe.vector for probe in index.asked] == [None]


async def test_too_late_for_the_encoder_is_too_late() -> None:
    async with inspecting() as (inspector, _):
        verdict = await inspector.inspect(DATA, digest(DATA), Inquiry(deadline=99.0))
    assert verdict.error is not None
    assert verdict.error.code == ErrorCode.TOO_LATE


class Ticking(KnownEncoder):
    """A run takes a second of a clock that is handed in."""

    def __init__(self, clock: StillClock) -> None:
        super().__init__()
        self._clock = clock

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        self._clock.now += 1.0
        return super().embed(pixels)


async def test_where_the_deadline_leaves_no_time_for_the_encoder_the_verdict_is_degraded() -> None:
    clock, index = StillClock(), KnownIndex()
    encoder = Ticking(clock)
    inspector = Inspector(KnownDecoder(), encoder, index, clock, Metrics())
    inspector.start()
    try:
        first = await inspector.examine(DATA, digest(DATA), Inquiry(deadline=clock.now + 5.0))
        hurried = await inspector.examine(DATA, digest(DATA), Inquiry(deadline=clock.now + 0.6))
    finally:
        await inspector.stop()
    assert (first.verdict.degraded, len(first.traces)) == (False, 1)
    assert hurried.verdict.error is None
    assert (hurried.verdict.degraded, hurried.traces) == (True, ())
    assert hurried.verdict.pdq == "a" * 64
    assert [probe.vector is None for probe in index.asked] == [False, True]
    assert encoder.batches == [1]


async def test_what_was_said_of_its_like_will_do_for_who_allows_it() -> None:
    encoder, metrics = KnownEncoder(), Metrics()
    inspector = Inspector(KnownDecoder(), encoder, UnmatchedBytes(), StillClock(), metrics)
    allowing = Inquiry(near_cache=True)
    inspector.start()
    try:
        first = (await inspector.examine(DATA, digest(DATA), allowing)).verdict
        known = await inspector.examine(b"saved again", digest(b"saved again"), allowing)
        strict = (await inspector.examine(b"another", digest(b"another"), AT_LEISURE)).verdict
        shown = (await inspector.examine(b"labels", digest(b"labels"), replace(allowing, classifiers=("a",)))).verdict
    finally:
        await inspector.stop()
    assert (first.near, strict.near, shown.near) == (None, None, None)
    assert known.verdict.near == NearVerdict(sha256=digest(DATA), distance=0)
    assert (known.verdict.sha256, known.verdict.matches, known.traces) == (digest(b"saved again"), first.matches, ())
    assert sum(encoder.batches) == 3
    assert metrics.value("safelight_worker_near_verdicts_total") == 1


class UnmatchedBytes(KnownIndex):
    """Finds its match by what a picture shows, nothing by bytes alone."""

    def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
        return [
            () if probe.vector is None else found for probe, found in zip(probes, super().search(probes), strict=True)
        ]


async def test_bytes_that_are_not_what_was_asked_for_are_not_judged() -> None:
    decoder = KnownDecoder()
    async with inspecting(decoder) as (inspector, _):
        verdict = await inspector.inspect(DATA, digest(b"another"))
    assert verdict.error is not None
    assert verdict.error.code == ErrorCode.INTERNAL_ERROR
    assert decoder.decoded == []


async def test_a_blank_picture_is_searched_as_one() -> None:
    index = KnownIndex()
    large = b"x" * (OFF_LOOP_BYTES + 1)
    async with inspecting(KnownDecoder(low_information=True), index=index) as (inspector, _):
        assert (await inspector.inspect(large, digest(large))).error is None
    assert [(probe.vector, probe.sight) for probe in index.asked] == [(None, None)]


async def test_every_frame_is_judged_and_the_best_one_named() -> None:
    class Animated(KnownDecoder):
        async def decode(
            self, data: bytes, *, deadline: float | None = None, views: bool = False, planes: bool = True
        ) -> DecodedImage:
            image = await super().decode(data, deadline=deadline, views=views, planes=planes)
            title = make_frame(pdq=("b" * 64,) * 8, low_information=True)
            return replace(image, frames=(title, replace(image.frames[0], index=37)))

    class Second(KnownIndex):
        def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
            super().search(probes)
            return [(), (make_match(),)]

    index, encoder = Second(), KnownEncoder()
    async with inspecting(Animated(), encoder, index) as (inspector, _):
        verdict = await inspector.inspect(DATA, digest(DATA))
    assert [match.frame for match in verdict.matches] == [37]
    assert verdict.pdq == "b" * 64
    assert [probe.vector is None for probe in index.asked] == [True, False]
    assert sum(encoder.batches) == 1  # what shows nothing is not encoded


async def test_many_at_once_share_encoder_runs() -> None:
    encoder = KnownEncoder()
    async with inspecting(encoder=encoder) as (inspector, _):
        verdicts = await asyncio.gather(*(inspector.inspect(DATA, digest(DATA)) for _ in range(8)))
    assert all(verdict.error is None for verdict in verdicts)
    assert sum(encoder.batches) == 8
    assert len(encoder.batches) < 8


async def test_a_fingerprint_is_what_the_index_keeps() -> None:
    async with inspecting() as (inspector, _):
        fingerprint = await inspector.fingerprint(DATA)
    assert (fingerprint.sha256, fingerprint.encoder, fingerprint.pdq_quality) == (digest(DATA), "encoder-1", 90)
    assert from_bytes(fingerprint.vectors).tolist() == [[0.5] * 4]
    assert fingerprint.views == bytes([0b11110000]) * 3


async def test_a_closer_look_is_counted_by_its_outcome() -> None:
    class Looking(KnownIndex):
        def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
            assert probes[0].sight is not None
            assert len(probes[0].sight.features) > 0
            probes[0].sight.in_time()
            return super().search(probes)

    pictured = Image.fromarray(plane("dashboard", 1))

    class Seeing(KnownDecoder):
        async def decode(
            self, data: bytes, *, deadline: float | None = None, views: bool = False, planes: bool = True
        ) -> DecodedImage:
            image = await super().decode(data, deadline=deadline, views=views, planes=planes)
            frame = replace(image.frames[0], plane=pictured.tobytes(), plane_size=pictured.size)
            return replace(image, frames=(frame,))

    async with inspecting(Seeing(), index=Looking()) as (inspector, metrics):
        at_leisure = await inspector.inspect(DATA, digest(DATA))
        in_a_hurry = await inspector.inspect(DATA, digest(DATA), Inquiry(deadline=100.04))
    assert (at_leisure.hurried, in_a_hurry.hurried) == (False, True)
    assert metrics.value("safelight_worker_closer_looks_total", outcome="nothing") == 1
    assert metrics.value("safelight_worker_closer_looks_total", outcome="out_of_time") == 1


PICTURED = Image.fromarray(plane("dashboard", 1))


class Planar(KnownDecoder):
    """Gives planes where they are asked for, ``times`` at most."""

    def __init__(self, times: int = 9) -> None:
        super().__init__()
        self._times = times

    async def decode(
        self, data: bytes, *, deadline: float | None = None, views: bool = False, planes: bool = True
    ) -> DecodedImage:
        image = await super().decode(data, deadline=deadline, views=views, planes=planes)
        if not planes:
            return image
        self._times -= 1
        if self._times < 0:
            raise DecodeError(ErrorCode.DECODER_CRASHED, "why")
        return replace(image, frames=(replace(image.frames[0], plane=PICTURED.tobytes(), plane_size=PICTURED.size),))


class Curious(KnownIndex):
    """Looks at every image closely, though its set does not insist on it."""

    def __init__(self, *, thorough: bool | None) -> None:
        super().__init__()
        self.sets = {"designs": SetFacts(name="designs", threshold=85.0, size=1, thorough=thorough)}
        self.features: list[int] = []

    def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
        (probe,) = probes
        if probe.sight is not None and probe.sight.in_time():
            self.features.append(len(probe.sight.features))
        return super().search(probes)


@pytest.mark.parametrize(
    ("thorough", "classifiers", "asked"),
    [(True, (), [True]), (None, (), [True]), (False, ("papers",), [True]), (False, (), [False, True])],
)
async def test_planes_are_decoded_at_once_where_every_image_is_looked_at_and_else_when_one_is(
    thorough: bool | None, classifiers: tuple[str, ...], asked: list[bool]
) -> None:
    decoder, index = Planar(), Curious(thorough=thorough)
    async with inspecting(decoder, index=index) as (inspector, _):
        verdict = await inspector.inspect(DATA, digest(DATA), Inquiry(deadline=200.0, classifiers=classifiers))
    assert decoder.planes == asked
    assert (verdict.error, verdict.hurried) == (None, False)
    assert [count > 0 for count in index.features] == [True]


class Began(StillClock):
    """Knows when a thread that is not the event loop's asks for the time: a look does, before it begins."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = threading.Event()

    def monotonic(self) -> float:
        if threading.current_thread() is not threading.main_thread():
            self.looked.set()
        return super().monotonic()


class Awaiting(KnownEncoder):
    """Encodes when somebody began to look at the picture, or after ten seconds."""

    def __init__(self, clock: Began) -> None:
        super().__init__()
        self._clock = clock

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        assert self._clock.looked.wait(10.0)
        return super().embed(pixels)


async def test_what_is_looked_at_in_any_case_is_looked_at_while_the_encoder_runs() -> None:
    clock, index = Began(), Curious(thorough=True)
    inspector = Inspector(Planar(), Awaiting(clock), index, clock, Metrics())
    inspector.start()
    verdict = await inspector.inspect(DATA, digest(DATA), Inquiry(deadline=200.0))
    await inspector.stop()
    assert (verdict.error, verdict.degraded) == (None, False)
    assert [count > 0 for count in index.features] == [True]


async def test_for_what_nobody_looks_at_no_plane_is_decoded() -> None:
    decoder = Planar()
    index = KnownIndex()
    index.sets = {"designs": SetFacts(name="designs", threshold=85.0, size=1, thorough=False)}
    async with inspecting(decoder, index=index) as (inspector, _):
        verdict = await inspector.inspect(DATA, digest(DATA), Inquiry(deadline=200.0))
    assert decoder.planes == [False]
    assert [match.reference for match in verdict.matches] == ["r-1"]


async def test_an_image_whose_plane_is_not_to_be_had_is_judged_by_the_first_step() -> None:
    decoder, index = Planar(times=0), Curious(thorough=False)
    async with inspecting(decoder, index=index) as (inspector, _):
        verdict = await inspector.inspect(DATA, digest(DATA), Inquiry(deadline=200.0))
    assert decoder.planes == [False, True]
    assert (verdict.error, verdict.hurried, index.features) == (None, True, [])
    assert [match.reference for match in verdict.matches] == ["r-1"]


class Saying:
    """Gives every picture one label, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[str], int]] = []

    def answer(
        self,
        _: str,
        names: Sequence[str],
        frames: Sequence[DecodedFrame],
        vectors: Sequence[NDArray[np.float32] | None],
    ) -> Labelled:
        self.asked.append((names, len(frames)))
        return Labelled(
            labels=(LabelScore(classifier="papers", label="form", score=97.0),), position=4, revisions=(("papers", 3),)
        )


async def test_a_picture_is_shown_to_the_classifiers_that_are_asked_for_and_to_no_others() -> None:
    labels = Saying()
    inspector = Inspector(KnownDecoder(), KnownEncoder(), KnownIndex(), StillClock(), Metrics(), labels=labels)
    inspector.start()
    try:
        without = (await inspector.examine(DATA, digest(DATA), AT_LEISURE)).verdict
        known = await inspector.examine(DATA, digest(DATA), Inquiry(classifiers=("papers",)))
    finally:
        await inspector.stop()
    assert (without.labels, without.classifier_revision) == ((), 0)
    assert [one.label for one in known.verdict.labels] == ["form"]
    assert (known.verdict.classifier_revision, known.classifiers) == (4, (("papers", 3),))
    assert labels.asked == [(("papers",), 1)]


@pytest.mark.error_logs("the encoder failed")
async def test_without_the_encoder_no_classifier_answers() -> None:
    labels, encoder = Saying(), KnownEncoder(RuntimeError("device lost"))
    inspector = Inspector(KnownDecoder(), encoder, KnownIndex(), StillClock(), Metrics(), labels=labels)
    inspector.start()
    try:
        verdict = (await inspector.examine(DATA, digest(DATA), Inquiry(classifiers=("papers",)))).verdict
    finally:
        await inspector.stop()
    assert (verdict.labels, labels.asked) == ((), [])
