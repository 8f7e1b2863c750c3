"""One object put together from the parts of an upload or the ranges of a download, as far as they are known.

Parts come out of order, repeated, overlapping and at once.  Which of two parts stands where both belong depends on
the origin and on which requests it refused: Google ignores bytes that it has already, S3 takes the part that came
last, and a request that broke off counts for neither.  So nothing is assumed.  Parts that agree are one; where they
differ every reading is given (``variants``), up to MAX_VARIANTS, and ``ambiguous`` tells that there are more.

    https://cloud.google.com/storage/docs/performing-resumable-uploads
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
"""

from __future__ import annotations

import hashlib
import io
from bisect import insort
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from math import prod
from typing import Final

from shared.errors import ErrorCode, ExtractionError
from shared.extract.budget import WINDOW, Steps

MAX_VARIANTS: Final = 8
"""Readings of one upload that are looked into: three places where two parts differ."""
MAX_LAYERS: Final = 8
"""Parts at one place that are told apart; of more, the first and the last ones."""
SEGMENTS_PER_STEP: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The bytes of one part: ``size`` of them, at ``offset`` or, where that is None, under a ``number``.

    ``key`` says where they are kept; ``sha256`` in hexadecimal.
    """

    key: str
    size: int
    sha256: str
    offset: int | None = None
    number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """What the parts of one object may add up to."""

    max_bytes: int
    max_pieces: int = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """``piece[start:end]``."""

    piece: Piece
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What stands where: for each stretch of the object the slices that could be it, in order of arrival.

    ``missing``: bytes that no part brought, or parts where their sizes are not known.  ``ambiguous``: more readings
    than are given.
    """

    segments: tuple[tuple[Slice, ...], ...] = ()
    missing: int = 0
    ambiguous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is known of one object; ``pieces`` in order of arrival, ``total`` its size in bytes (None: not known)."""

    pieces: tuple[Piece, ...] = ()
    total: int | None = None

    def with_piece(self, piece: Piece, limits: SpoolLimits) -> Parts:
        """Return the parts with one more; the same one again changes nothing.  Raises ExtractionError."""
        if any(_same(piece, known) for known in self.pieces):
            return self
        size = sum(known.size for known in self.pieces) + piece.size
        if size > limits.max_bytes or (piece.offset or 0) + piece.size > limits.max_bytes:
            raise ExtractionError(ErrorCode.OVER_BUDGET, f"its parts have more than {limits.max_bytes} bytes")
        if len(self.pieces) == limits.max_pieces:
            raise ExtractionError(ErrorCode.OVER_BUDGET, f"it has more than {limits.max_pieces} parts")
        return replace(self, pieces=(*self.pieces, piece))

    @property
    def is_complete(self) -> bool:
        """Whether the size is known and every byte has arrived."""
        if self.total is None:
            return False
        if self._numbered:
            return sum({piece.number: piece.size for piece in self.pieces}.values()) >= self.total
        reached = 0
        for start, end in sorted((piece.offset or 0, (piece.offset or 0) + piece.size) for piece in self.pieces):
            if start > reached:
                return False
            reached = max(reached, end)
        return reached >= self.total

    @property
    def _numbered(self) -> bool:
        return any(piece.offset is None and piece.number for piece in self.pieces)

    def layout(self, order: Sequence[str] = ()) -> Steps[Layout]:
        """Say what stands where; ``order``: the numbers that the object is made of, empty: all there are."""
        if order or self._numbered:
            return self._by_number(order)
        return self._by_offset()

    def _by_number(self, order: Sequence[str]) -> Steps[Layout]:
        versions: dict[str, list[Piece]] = {}
        for piece in self.pieces:
            versions.setdefault(piece.number, []).append(piece)
        yield
        numbers = order or _in_order(versions)
        given = [_outermost(versions[number]) for number in numbers if number in versions]
        segments = tuple(tuple(Slice(piece=each, start=0, end=each.size) for each in some) for some in given)
        return Layout(
            segments=segments,
            missing=len(numbers) - len(given),
            ambiguous=any(len(versions.get(number, ())) > MAX_LAYERS for number in numbers),
        )

    def _by_offset(self) -> Steps[Layout]:
        edges: dict[int, list[tuple[bool, int]]] = {}
        for at, piece in enumerate(self.pieces):
            if piece.size:
                edges.setdefault(piece.offset or 0, []).append((True, at))
                edges.setdefault((piece.offset or 0) + piece.size, []).append((False, at))
        places = sorted({0, *edges, *(() if self.total is None else (self.total,))})
        yield
        active: list[int] = []
        segments: list[tuple[Slice, ...]] = []
        missing, ambiguous = 0, False
        for done, (start, end) in enumerate(pairwise(places)):
            _turn(active, edges.get(start, ()))
            ambiguous = ambiguous or len(active) > MAX_LAYERS
            layers = [self.pieces[at] for at in _outermost(active)]
            missing += 0 if layers else end - start
            segments += [tuple(_slice(piece, start, end) for piece in layers)] if layers else []
            if done % SEGMENTS_PER_STEP == 0:
                yield
        return Layout(segments=tuple(segments), missing=missing, ambiguous=ambiguous)


def _same(one: Piece, other: Piece) -> bool:
    return (one.offset, one.number, one.size, one.sha256) == (other.offset, other.number, other.size, other.sha256)


def _in_order(numbers: Iterable[str]) -> list[str]:
    known = list(numbers)
    return sorted(known, key=int) if all(each.isascii() and each.isdigit() for each in known) else known


def _outermost[T](layers: Sequence[T]) -> list[T]:
    half = MAX_LAYERS // 2
    return list(layers) if len(layers) <= MAX_LAYERS else [*layers[:half], *layers[-half:]]


def _turn(active: list[int], edges: Iterable[tuple[bool, int]]) -> None:
    for begins, at in edges:
        if begins:
            insort(active, at)
        else:
            active.remove(at)


def _slice(piece: Piece, start: int, end: int) -> Slice:
    return Slice(piece=piece, start=start - (piece.offset or 0), end=end - (piece.offset or 0))


def readings(layout: Layout, data: Mapping[str, bytes]) -> Steps[Layout]:
    """Return the layout with slices of the same bytes as one, given every piece's bytes by its key."""
    segments: list[tuple[Slice, ...]] = []
    for segment in layout.segments:
        if len(segment) == 1:
            segments.append(segment)
            continue
        distinct: dict[bytes, Slice] = {}
        for each in segment:
            digest = yield from _digest(data[each.piece.key], each.start, each.end)
            distinct.setdefault(digest, each)
        segments.append(tuple(distinct.values()))
    return replace(
        layout,
        segments=tuple(segments),
        ambiguous=layout.ambiguous or prod(map(len, segments)) > MAX_VARIANTS,
    )


def variants(layout: Layout) -> Generator[tuple[Slice, ...]]:
    """Yield the readings, at most MAX_VARIANTS, of a layout that came from ``readings``.

    Where there are more: the one in which whatever came first stands, and the one in which whatever came last does.
    """
    if prod(map(len, layout.segments)) <= MAX_VARIANTS:
        yield from product(*layout.segments)
        return
    yield tuple(segment[0] for segment in layout.segments)
    yield tuple(segment[-1] for segment in layout.segments)


def join(slices: Sequence[Slice], data: Mapping[str, bytes]) -> Steps[bytes]:
    """Return the bytes of one reading."""
    # Into a buffer of the right size from the start: one that grows moves megabytes at once.
    buffer = io.BytesIO(bytes(sum(each.end - each.start for each in slices)))
    copied = 0
    for each in slices:
        view = memoryview(data[each.piece.key])
        for at in range(each.start, each.end, WINDOW):
            copied += buffer.write(view[at : min(at + WINDOW, each.end)])
            if copied >= WINDOW:
                copied = 0
                yield
    return buffer.getvalue()


def _digest(data: bytes, start: int, end: int) -> Steps[bytes]:
    digest = hashlib.sha256()
    view = memoryview(data)
    for at in range(start, end, WINDOW):
        digest.update(view[at : min(at + WINDOW, end)])
        yield
    return digest.digest()
