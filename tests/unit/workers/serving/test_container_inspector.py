"""From what came out of a container to one verdict."""

from __future__ import annotations

import asyncio
import hashlib
import math

import pytest

from shared.errors import DecodeError, ErrorCode
from shared.telemetry import Metrics
from shared.types import AT_LEISURE, FrameTrace, Inquiry, KnownVerdict, Verdict, VerdictError
from tests.container_factories import JPEG, PNG, make_jpeg_and_pdf, make_pdf, make_zip
from tests.factories import make_image_info, make_match
from tests.image_factories import make_file, make_picture
from tests.inspection_doubles import StillClock
from workers.decoding.unpack_protocol import Findings, UnpackOrder
from workers.serving.container_inspector import (
    CONTAINERS_AT_ONCE,
    MAX_MATCHES,
    OFFLINE_SECONDS,
    UNPACK_SECONDS,
    ContainerInspector,
)
from workers.unpacking.budget import Limit
from workers.unpacking.unpack import unpack
from workers.unpacking.walk import Found, Unread

MAX_UNPACKED = 64 << 20
TRACE = FrameTrace(index=0, vector=b"", pdq=("0" * 64,) * 8, pdq_quality=100, low_information=False)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class KnownImages:
    """Judges what begins like a picture; one that is given as broken is corrupt."""

    def __init__(self, broken: bytes = b"") -> None:
        self.asked: list[bytes] = []
        self.deadlines: list[float] = []
        self._broken = broken

    async def examine(self, data: bytes, sha256: str, inquiry: Inquiry) -> KnownVerdict:
        shown = tuple((name, 3) for name in inquiry.classifiers)
        return KnownVerdict(verdict=self._verdict(data, sha256, inquiry.deadline), traces=(TRACE,), classifiers=shown)

    def _verdict(self, data: bytes, sha256: str, deadline: float) -> Verdict:
        self.asked.append(data)
        self.deadlines.append(deadline)
        if data == self._broken:
            return self.refusal(sha256, ErrorCode.CORRUPT, "broken")
        if not data.startswith((b"\x89PNG", b"\xff\xd8")):
            return self.refusal(sha256, ErrorCode.NOT_AN_IMAGE, "no image")
        matches = tuple(make_match(score=score) for score in (50.0, 60.0, 70.0, 80.0))
        return Verdict(
            sha256=sha256, image=make_image_info(), matches=matches, encoder="e", index_revision="e:1",
            timings_ms={"total": 1.0},
        )  # fmt: skip

    def refusal(self, sha256: str, code: ErrorCode, message: str) -> Verdict:
        error = VerdictError(code=code, message=message)
        return Verdict(sha256=sha256, encoder="e", index_revision="e:1", error=error)


class HereUnpacker:
    """Takes containers apart where it is; ``error`` ends each early."""

    def __init__(self, error: DecodeError | None = None, extra: tuple[Unread, ...] = ()) -> None:
        self.orders: list[UnpackOrder] = []
        self._error = error
        self._extra = extra

    async def unpack(self, data: bytes, order: UnpackOrder, *, deadline: float | None = None) -> Findings:
        self.orders.append(order)
        findings = Findings(order.limits())
        findings.error = self._error

        def take(find: Found | Unread) -> None:
            (findings.found if isinstance(find, Found) else findings.unread).append(find)  # type: ignore[arg-type]

        unpack(data, order.limits(), take)
        findings.unread.extend(self._extra)
        return findings


async def inspect(
    data: bytes,
    images: KnownImages | None = None,
    unpacker: HereUnpacker | None = None,
    *,
    deadline: float = math.inf,
    metrics: Metrics | None = None,
) -> Verdict:
    inspector = ContainerInspector(
        images or KnownImages(), unpacker or HereUnpacker(), StillClock(), metrics or Metrics(),
        max_unpacked=MAX_UNPACKED,
    )  # fmt: skip
    return await inspector.inspect(data, digest(data), Inquiry(deadline=deadline))


async def test_a_picture_is_judged_as_ever() -> None:
    unpacker = HereUnpacker()
    verdict = await inspect(PNG, unpacker=unpacker)
    assert (verdict.image is not None, verdict.container, unpacker.orders) == (True, None, [])


async def test_each_picture_inside_has_a_verdict() -> None:
    data = make_zip({"a.png": PNG, "x/b.jpg": JPEG})
    verdict = await inspect(data)
    assert (verdict.sha256, verdict.error, verdict.image) == (digest(data), None, None)
    assert verdict.container is not None
    assert (verdict.container.format, verdict.container.images, verdict.container.images_inspected) == ("zip", 2, 2)
    assert [(image.path, image.sha256) for image in verdict.images] == [
        ("a.png", digest(PNG)),
        ("x/b.jpg", digest(JPEG)),
    ]
    assert [match.score for match in verdict.images[0].matches] == [80.0, 70.0, 60.0][:MAX_MATCHES]
    assert (verdict.index_revision, verdict.images[0].timings_ms) == ("e:1", {})


async def test_a_bad_picture_fails_alone() -> None:
    verdict = await inspect(make_zip({"a.png": PNG, "b.jpg": JPEG}), KnownImages(broken=PNG))
    assert [image.error.code if image.error else None for image in verdict.images] == [ErrorCode.CORRUPT, None]
    assert verdict.error is None
    assert verdict.container is not None
    assert (verdict.container.images, verdict.container.images_inspected) == (2, 1)


async def test_what_could_not_be_read_is_told_worst_first() -> None:
    extra = (
        Unread(path="c.rar", code=ErrorCode.OPAQUE, message="rar is not opened"),
        Unread(path="d.zip", code=ErrorCode.ENCRYPTED, message="locked"),
    )
    verdict = await inspect(make_zip({"a.png": PNG}), unpacker=HereUnpacker(extra=extra))
    assert verdict.error is not None
    assert verdict.error.code is ErrorCode.ENCRYPTED
    assert verdict.error.message == "d.zip: locked (and 1 more); 1 of 1 images found were inspected"
    assert verdict.container is not None
    assert [part.error.code for part in verdict.container.unread] == [ErrorCode.OPAQUE, ErrorCode.ENCRYPTED]


async def test_a_child_that_is_lost_costs_what_it_had_not_said() -> None:
    error = DecodeError(ErrorCode.DECODER_CRASHED, "the decoder died on this image")
    verdict = await inspect(make_zip({"a.png": PNG}), unpacker=HereUnpacker(error))
    assert verdict.error is not None
    assert verdict.error.code is ErrorCode.DECODER_CRASHED
    assert len(verdict.images) == 1


async def test_limits_are_counted() -> None:
    metrics = Metrics()
    await inspect(make_zip({"zeros": bytes(40 << 20)}), metrics=metrics)
    assert metrics.value("safelight_worker_unpack_limit_hits_total", limit=Limit.RATIO) == 1


async def test_a_picture_with_an_archive_behind_it_has_both_readings() -> None:
    verdict = await inspect(PNG + make_zip({"b.jpg": JPEG}))
    assert verdict.image is not None
    assert [image.path for image in verdict.images] == ["b.jpg"]


async def test_a_picture_that_is_a_document_too_is_judged_as_both() -> None:
    both = make_jpeg_and_pdf(JPEG, make_pdf(make_file(make_picture(seed=5), "JPEG")))
    images = KnownImages()
    verdict = await inspect(both, images)
    assert verdict.image is not None
    assert [image.path for image in verdict.images] == ["page-1/image-1", "page-1"]
    assert verdict.error is None
    assert both in images.asked
    assert len(images.asked) == 3


@pytest.mark.parametrize("data", [b"just text", b"\0" * 100])
async def test_what_holds_nothing_is_no_image(data: bytes) -> None:
    verdict = await inspect(data)
    assert (verdict.container, verdict.error and verdict.error.code) == (None, ErrorCode.NOT_AN_IMAGE)


async def test_an_archive_without_pictures_is_no_error() -> None:
    verdict = await inspect(make_zip({"app.log": b"line\n" * 1000}))
    assert (verdict.error, verdict.images) == (None, ())


async def test_bytes_of_another_digest_are_not_judged() -> None:
    inspector = ContainerInspector(KnownImages(), HereUnpacker(), StillClock(), Metrics(), max_unpacked=MAX_UNPACKED)
    verdict = await inspector.inspect(make_zip({"a.png": PNG}), "0" * 64)
    assert verdict.error is not None
    assert verdict.error.code is ErrorCode.INTERNAL_ERROR


async def test_time_is_left_for_the_pictures_and_the_reply() -> None:
    images, unpacker = KnownImages(), HereUnpacker()
    data = make_zip({"a.png": PNG})
    await inspect(data, images, unpacker, deadline=101.0)
    await inspect(data, images, unpacker, deadline=200.0)
    await inspect(data, images, unpacker)
    assert [order.seconds for order in unpacker.orders] == [0.5, UNPACK_SECONDS, OFFLINE_SECONDS]
    assert {order.max_inflated_bytes for order in unpacker.orders} == {MAX_UNPACKED}
    assert images.deadlines == [100.9, 199.9, math.inf]


async def test_only_a_picture_alone_can_be_searched_again() -> None:
    inspector = ContainerInspector(KnownImages(), HereUnpacker(), StillClock(), Metrics(), max_unpacked=MAX_UNPACKED)
    both = PNG + make_zip({"b.jpg": JPEG})
    assert (await inspector.examine(PNG, digest(PNG), AT_LEISURE)).traces == (TRACE,)
    assert (await inspector.examine(both, digest(both), AT_LEISURE)).traces == ()


async def test_what_is_known_of_an_archive_says_which_classifiers_its_pictures_were_shown_to() -> None:
    inspector = ContainerInspector(KnownImages(), HereUnpacker(), StillClock(), Metrics(), max_unpacked=MAX_UNPACKED)
    inquiry = Inquiry(classifiers=("documents",))
    for data in (make_zip({"a.png": PNG, "b.jpg": JPEG}), PNG + make_zip({"b.jpg": JPEG})):
        assert (await inspector.examine(data, digest(data), inquiry)).classifiers == (("documents", 3),)


async def test_a_broken_picture_with_an_archive_behind_it_keeps_its_error() -> None:
    both = PNG + make_zip({"b.jpg": JPEG})
    verdict = await inspect(both, KnownImages(broken=both))
    assert verdict.error is not None
    assert verdict.error.code is ErrorCode.CORRUPT
    assert len(verdict.images) == 1


async def test_contents_are_those_of_containers_alone() -> None:
    inspector = ContainerInspector(KnownImages(), HereUnpacker(), StillClock(), Metrics(), max_unpacked=MAX_UNPACKED)
    contents = await inspector.contents(make_zip({"a.png": PNG, "b.rar": b"Rar!\x1a\x07\x01\x00" + bytes(50)}))
    assert contents is not None
    assert [found.path for found in contents.found] == ["a.png"]
    assert [part.path for part in contents.unread] == ["b.rar"]
    assert await inspector.contents(PNG) is None
    assert await inspector.contents(b"text") is None


async def test_few_containers_are_in_memory_at_a_time() -> None:
    class Meeting(HereUnpacker):
        """Goes on when as many containers are being unpacked as may be."""

        def __init__(self) -> None:
            super().__init__()
            self.barrier = asyncio.Barrier(CONTAINERS_AT_ONCE)
            self.at_work: set[int] = set()

        async def unpack(self, data: bytes, order: UnpackOrder, *, deadline: float | None = None) -> Findings:
            self.at_work.add(len(data))
            assert len(self.at_work) <= CONTAINERS_AT_ONCE
            await self.barrier.wait()
            self.at_work.remove(len(data))
            return await super().unpack(data, order, deadline=deadline)

    inspector = ContainerInspector(KnownImages(), Meeting(), StillClock(), Metrics(), max_unpacked=MAX_UNPACKED)
    files = [make_zip({"a.png": PNG, "notes": b"n" * 1000 * length}) for length in range(2 * CONTAINERS_AT_ONCE)]
    verdicts = await asyncio.gather(*(inspector.inspect(data, digest(data)) for data in files))
    assert [len(verdict.images) for verdict in verdicts] == [1] * len(files)
