"""Verdicts on archives and documents: taken apart in a decode child, each picture inside judged as any picture is.

A picture's file that is a container as well, or has one behind it, gets both readings.  What is neither is searched
for pictures all the same, as the proxy searches a body, and is no image where none is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from shared.errors import ErrorCode
from shared.extract.entity import inner_entity
from shared.extract.sniff import SNIFF_BYTES, sniff, sniff_container
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import AT_LEISURE, ContainerInfo, Inquiry, KnownVerdict, UnreadPart, Verdict, VerdictError
from workers.decoding.unpack_protocol import Findings, UnpackOrder
from workers.serving.inspector import OFF_LOOP_BYTES, Examines, digest
from workers.serving.known_labels import shown_alike
from workers.unpacking.walk import Found, Unread, second_readings

UNPACK_SECONDS: Final = 5.0
OFFLINE_SECONDS: Final = 60.0
"""For a container that nobody waits for with a deadline, such as a file of ``safelight check``."""
UNPACK_SHARE: Final = 0.5
"""Of the time until the deadline that unpacking may take; the rest is for the pictures."""
REPLY_SECONDS: Final = 0.1
"""Before the deadline: what is known by then still reaches the asker in time."""
CONTAINERS_AT_ONCE: Final = 2
"""Each may hold ``max_image_bytes`` of pictures in memory while they are judged."""
IMAGES_AT_ONCE: Final = 8
MAX_MATCHES: Final = 3
"""Matches told of each picture, the best first: 256 pictures have to fit into one message."""

_SEVERITY: Final = (
    ErrorCode.ENCRYPTED,
    ErrorCode.OVER_BUDGET,
    ErrorCode.TOO_LATE,
    ErrorCode.DECODE_TIMEOUT,
    ErrorCode.DECODER_CRASHED,
    ErrorCode.INTERNAL_ERROR,
    ErrorCode.OPAQUE,
    ErrorCode.TOO_MANY_PIXELS,
    ErrorCode.TRUNCATED,
    ErrorCode.CORRUPT,
)
"""The code of a container is the first of these among what could not be read in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The pictures of a container, and what could not be read."""

    found: tuple[Found, ...]
    unread: tuple[UnreadPart, ...]


class Unpacks(Protocol):
    """What takes containers apart, such as a DecodePool."""

    async def unpack(self, data: bytes, order: UnpackOrder, *, deadline: float | None = None) -> Findings:
        """Return what a container holds, as far as it came out."""
        ...


class ContainerInspector:
    """Judges whatever an image inspector does, and containers.  ``max_unpacked``: bytes that may come out of one."""

    def __init__(
        self, images: Examines, unpacker: Unpacks, clock: Clock, metrics: Metrics, *, max_unpacked: int
    ) -> None:
        self._images = images
        self._unpacker = unpacker
        self._clock = clock
        self._metrics = metrics
        self._max_unpacked = max_unpacked
        self._places = asyncio.Semaphore(CONTAINERS_AT_ONCE)

    def refusal(self, sha256: str, code: ErrorCode, message: str) -> Verdict:
        """Return a verdict that says why there are no facts."""
        return self._images.refusal(sha256, code, message)

    async def inspect(self, data: bytes, sha256: str, inquiry: Inquiry = AT_LEISURE) -> Verdict:
        """Return the verdict on ``data``, whose digest the asker says is ``sha256``."""
        return (await self.examine(data, sha256, inquiry)).verdict

    async def examine(self, data: bytes, sha256: str, inquiry: Inquiry) -> KnownVerdict:
        """Return the verdict; of a picture alone also what it was searched by."""
        is_image = sniff(data[:SNIFF_BYTES]) is not None
        kind = await _kind(data, is_image=is_image)
        if kind is None:
            return await self._images.examine(data, sha256, inquiry)
        if await digest(data) != sha256:
            message = "the bytes do not have the digest that was asked for"
            return KnownVerdict(verdict=self.refusal(sha256, ErrorCode.INTERNAL_ERROR, message))
        own = await self._images.examine(data, sha256, inquiry) if is_image else None
        async with self._places:
            findings = await self._unpack(data, inquiry.limit)
            if kind == _OTHER and not findings.found and not findings.unread and findings.error is None:
                return await self._images.examine(data, sha256, inquiry)
            # Before the pictures: what is said is true of the index as it was then.
            base = own.verdict if own is not None else replace(self.refusal(sha256, ErrorCode.OPAQUE, ""), error=None)
            images = await self._judge(findings.found, replace(inquiry, deadline=inquiry.deadline - REPLY_SECONDS))
        shown = shown_alike(images if own is None else (own, *images))
        return KnownVerdict(
            verdict=_merged(kind, base, findings, tuple(each.verdict for each in images)), classifiers=shown
        )

    async def contents(self, data: bytes) -> Contents | None:
        """Return what an archive or a document holds; None for a picture, and for what is neither."""
        if sniff(data[:SNIFF_BYTES]) is not None or await _kind(data, is_image=False) == _OTHER:
            return None
        findings = await self._unpack(data)
        return Contents(found=tuple(findings.found), unread=_unread(findings))

    async def _unpack(self, data: bytes, deadline: float | None = None) -> Findings:
        """Return what a container holds, as far as it came out in the time that there is."""
        seconds = OFFLINE_SECONDS
        if deadline is not None:
            seconds = min(UNPACK_SECONDS, max(0.0, deadline - self._clock.monotonic()) * UNPACK_SHARE)
        order = UnpackOrder(seconds=seconds, max_inflated_bytes=self._max_unpacked)
        findings = await self._unpacker.unpack(data, order, deadline=deadline)
        for unread in findings.unread:
            if unread.limit is not None:
                self._metrics.count("safelight_worker_unpack_limit_hits_total", limit=unread.limit)
        return findings

    async def _judge(self, found: Sequence[Found], inquiry: Inquiry) -> tuple[KnownVerdict, ...]:
        free = asyncio.Semaphore(IMAGES_AT_ONCE)

        async def judge(image: Found) -> KnownVerdict:
            async with free:
                examined = await self._images.examine(image.data, image.sha256, inquiry)
            verdict = examined.verdict
            best = sorted(verdict.matches, key=lambda match: match.score, reverse=True)[:MAX_MATCHES]
            return replace(examined, verdict=replace(verdict, path=image.path, matches=tuple(best), timings_ms={}))

        return tuple(await asyncio.gather(*(judge(image) for image in found)))


_OTHER: Final = "other"


async def _kind(data: bytes, *, is_image: bool) -> str | None:
    """Return what kind of container this may be; None for a picture that is nothing else."""
    known = sniff_container(data[:SNIFF_BYTES])
    if not is_image:
        mail = known is None and inner_entity(data, 0, len(data)) is not None
        return "mail" if mail else known or _OTHER
    searched = second_readings(data) if len(data) <= OFF_LOOP_BYTES else await asyncio.to_thread(second_readings, data)
    return searched[0][0] if searched else None


def _merged(kind: str, base: Verdict, findings: Findings, images: tuple[Verdict, ...]) -> Verdict:
    """Return the verdict on a container from that on the file itself and those on what is inside."""
    inspected = sum(image.error is None for image in images)
    info = ContainerInfo(format=kind, images=len(images), images_inspected=inspected, unread=_unread(findings))
    return replace(
        base,
        container=info,
        images=images,
        error=_overall(info) if base.image is None and base.error is None else base.error,
        degraded=any(each.degraded for each in (base, *images)),
        hurried=any(each.hurried for each in (base, *images)),
    )


def _unread(findings: Findings) -> tuple[UnreadPart, ...]:
    parts = [_part(each) for each in findings.unread]
    if findings.error is not None:
        parts.append(UnreadPart(path="", error=VerdictError(code=findings.error.code, message=str(findings.error))))
    return tuple(parts)


def _part(unread: Unread) -> UnreadPart:
    return UnreadPart(path=unread.path, error=VerdictError(code=unread.code, message=unread.message))


def _overall(info: ContainerInfo) -> VerdictError | None:
    """Return the error of a container of which not everything could be read."""
    if not info.unread:
        return None
    worst = min(info.unread, key=lambda part: _rank(part.error.code))
    where = f"{worst.path}: " if worst.path else ""
    others = f" (and {len(info.unread) - 1} more)" if len(info.unread) > 1 else ""
    counted = f"{info.images_inspected} of {info.images} images found were inspected"
    return VerdictError(code=worst.error.code, message=f"{where}{worst.error.message}{others}; {counted}")


def _rank(code: ErrorCode) -> int:
    return _SEVERITY.index(code) if code in _SEVERITY else len(_SEVERITY)
