"""Content-codings (RFC 9110, section 8.4) undone in small windows, under a budget.

Each decoder is a generator from chunks to chunks of at most about 64 KiB; an empty chunk is a heartbeat, so that
input which inflates to nothing (empty members, empty frames) cannot hold the caller either.
"""

from __future__ import annotations

import io
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final, cast

import brotli
import zstandard

from shared.errors import ErrorCode, ExtractionError
from shared.extract.budget import Limits, Steps

INPUT_WINDOW: Final = 16 * 1024
OUTPUT_WINDOW: Final = 64 * 1024
ZSTD_MAX_WINDOW: Final = 8 << 20  # RFC 9659: the most a decoder for the "zstd" coding has to support
MAX_FRAME_LINE: Final = 4096  # of aws-chunked; signature lines have about 90 characters

MAX_FRAMES: Final = 65_536
"""Members of a gzip body or frames of an aws-chunked one: 2 KiB each in the largest body, where writers use 64 KiB."""

FEED_MOST: Final = 8 << 20
"""Bytes that what one read of a connection brings of a stream may inflate to: 64 KiB of text become 1 MiB."""

_HEX: Final = re.compile(rb"[0-9a-fA-F]{1,16}")

type Chunks = Iterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inflated:
    """A body without its codings; ``error`` says why it is not whole."""

    body: bytes
    error: ExtractionError | None = None


def codings_of(values: Sequence[str]) -> tuple[str, ...]:
    """Return the codings of Content-Encoding field values, lower case, in the order they were applied."""
    names = (name.strip().lower() for value in values for name in value.split(","))
    return tuple(name for name in names if name not in {"", "identity"})


class StreamDecoder:
    """Undoes codings of a stream as it arrives."""

    def __init__(self, codings: Sequence[str]) -> None:
        unknown = [coding for coding in codings if coding not in _DECODERS]
        self._refused = (
            ExtractionError(ErrorCode.OPAQUE, f"unknown content-encoding {unknown[0][:40]}") if unknown else None
        )
        self._waiting: deque[bytes] = deque()
        self._starved = False
        stream: Chunks = self._source()
        for coding in () if unknown else reversed(codings):
            stream = _DECODERS[coding](stream)
        self._stream = stream

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` inflates to, in chunks of about 64 KiB.  Raises ExtractionError, and then for good."""
        if self._refused is not None:
            raise self._refused
        self._starved, inflated = False, 0
        self._waiting.extend(data[at : at + INPUT_WINDOW] for at in range(0, len(data), INPUT_WINDOW))
        try:
            while not self._starved:
                chunk = next(self._stream)
                inflated += len(chunk)
                if inflated > FEED_MOST:
                    raise ExtractionError(ErrorCode.OVER_BUDGET, f"inflates to more than {FEED_MOST} bytes at once")
                if chunk:
                    yield chunk
        except (StopIteration, zlib.error, brotli.error, zstandard.ZstdError) as problem:
            self._refused = ExtractionError(ErrorCode.CORRUPT, f"a coded stream cannot be read on: {problem}")
            raise self._refused from problem
        except ExtractionError as problem:
            self._refused = problem
            raise

    def _source(self) -> Chunks:
        while True:
            if self._waiting:
                yield self._waiting.popleft()
            else:
                # Decoders answer an empty chunk with an empty chunk: the next one asked for comes with the next bytes.
                self._starved = True
                yield b""


def undo(body: bytes | memoryview, codings: Sequence[str], limits: Limits) -> Steps[Inflated]:
    """Undo ``codings``, last applied first.  Never raises; what was inflated before an error is kept."""
    chunks: list[bytes] = []
    size, error = 0, None
    try:
        for chunk in _chain(body, codings, limits):
            if chunk:
                chunks.append(chunk)
                size += len(chunk)
                _check(size, len(body), limits)
            yield
    except (zlib.error, brotli.error, zstandard.ZstdError) as problem:
        error = ExtractionError(ErrorCode.CORRUPT, f"content-encoding {', '.join(codings)}: {problem}")
    except ExtractionError as problem:
        error = problem
    joined = yield from _join(chunks, size)
    return Inflated(body=joined, error=error)


def _join(chunks: list[bytes], size: int) -> Steps[bytes]:
    # Into a buffer of the right size from the start: one that grows moves megabytes at once.  From the end, so that
    # the allocator gives the chunks' memory back bit by bit: all of it at once took 3 ms for 50 MB.
    buffer = io.BytesIO(bytes(size))
    while chunks:
        chunk = chunks.pop()
        size -= len(chunk)
        buffer.seek(size)
        buffer.write(chunk)
        yield
    return buffer.getvalue()


def _check(inflated: int, size: int, limits: Limits) -> None:
    if inflated > limits.max_inflated_bytes:
        raise ExtractionError(ErrorCode.OVER_BUDGET, f"inflates to more than {limits.max_inflated_bytes} bytes")
    if inflated > max(limits.inflate_ratio_floor, limits.max_inflate_ratio * size):
        raise ExtractionError(ErrorCode.OVER_BUDGET, f"inflates more than {limits.max_inflate_ratio} times")


def _chain(body: bytes | memoryview, codings: Sequence[str], limits: Limits) -> Chunks:
    if len(codings) > limits.max_codings:
        raise ExtractionError(ErrorCode.OVER_BUDGET, f"more than {limits.max_codings} content-codings")
    unknown = [coding for coding in codings if coding not in _DECODERS]
    if unknown:
        raise ExtractionError(ErrorCode.OPAQUE, f"unknown content-encoding {unknown[0][:40]}")
    chunks = (bytes(body[at : at + INPUT_WINDOW]) for at in range(0, len(body), INPUT_WINDOW))
    stream: Chunks = chunks
    for coding in reversed(codings):
        stream = _DECODERS[coding](stream)
    return stream


def _gzip(chunks: Chunks) -> Chunks:
    decoder, started, members = zlib.decompressobj(31), False, 0
    for chunk in chunks:
        pending = chunk
        yield b""
        while pending:
            if not started and not pending.strip(b"\0"):
                break  # padding between or after members
            started = True
            yield decoder.decompress(pending, OUTPUT_WINDOW)
            pending = decoder.unconsumed_tail
            if decoder.eof:
                members = _count(members)
                pending = decoder.unused_data
                decoder, started = zlib.decompressobj(31), False
    if started:
        yield from _rest(decoder)


def _count(frames: int) -> int:
    if frames == MAX_FRAMES:
        raise ExtractionError(ErrorCode.OVER_BUDGET, f"more than {MAX_FRAMES} compressed members or frames")
    return frames + 1


def _deflate(chunks: Chunks) -> Chunks:
    # "deflate" is zlib's format (RFC 1950), but servers that send raw deflate are common enough that browsers take it.
    decoder = None
    for chunk in chunks:
        pending = chunk
        yield b""
        if decoder is None and pending:
            is_zlib = pending[0] & 0x0F == 8 and (len(pending) < 2 or int.from_bytes(pending[:2]) % 31 == 0)
            decoder = zlib.decompressobj(15 if is_zlib else -15)
        while pending and decoder is not None and not decoder.eof:
            yield decoder.decompress(pending, OUTPUT_WINDOW)
            pending = decoder.unconsumed_tail
    if decoder is not None:
        yield from _rest(decoder)
        if decoder.unused_data.strip(b"\0"):
            raise ExtractionError(ErrorCode.CORRUPT, "bytes after the end of the deflate stream")


def _rest(decoder: zlib._Decompress) -> Chunks:
    while not decoder.eof:
        output = decoder.decompress(b"", OUTPUT_WINDOW)
        if not output:
            raise ExtractionError(ErrorCode.TRUNCATED, "the compressed stream ends early")
        yield output


def _brotli(chunks: Chunks) -> Chunks:
    decoder, started = brotli.Decompressor(), False
    for chunk in chunks:
        yield b""
        if not chunk:
            continue
        if decoder.is_finished():
            raise ExtractionError(ErrorCode.CORRUPT, "bytes after the end of the brotli stream")
        started = True
        yield decoder.process(chunk, output_buffer_limit=OUTPUT_WINDOW)
        # can_accept_more_data() speaks of input alone: output may wait inside although all input was taken.
        while not decoder.is_finished():
            output = decoder.process(b"", output_buffer_limit=OUTPUT_WINDOW)
            if not output and decoder.can_accept_more_data():
                break
            yield output
    if started and not decoder.is_finished():
        raise ExtractionError(ErrorCode.TRUNCATED, "the compressed stream ends early")


class _Starved(Exception):
    """The zstd reader asks for input that has not been handed over yet."""


class _Feed:
    """A source that can run dry and be filled again: at end of file the zstd reader would stop for good."""

    def __init__(self) -> None:
        self.chunk = b""
        self.ended = False

    def read(self, size: int = -1) -> bytes:
        if not self.chunk and not self.ended:
            raise _Starved
        taken, self.chunk = self.chunk[:size], self.chunk[size:]
        return taken


def _zstd(chunks: Chunks) -> Chunks:
    # decompressobj() has no bound on its output (4 bytes of input can be 128 KiB); the reader has, and read1 has given
    # nothing out yet whenever it asks for input, so nothing is lost when the feed raises.
    feed = _Feed()
    decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW)
    reader = decoder.stream_reader(cast("IO[bytes]", feed), read_size=INPUT_WINDOW, read_across_frames=True)
    for chunk in chunks:
        feed.chunk = chunk
        yield b""
        yield from _drain(reader)
    feed.ended = True
    yield from _drain(reader)


def _drain(reader: zstandard.ZstdDecompressionReader) -> Chunks:
    try:
        while output := reader.read1(OUTPUT_WINDOW):
            yield output
    except _Starved:
        return


def _aws_chunked(chunks: Chunks) -> Chunks:
    """Undo the framing of S3 uploads: ``hex[;chunk-signature=…]CRLF data CRLF``, a frame of size 0, trailers."""
    pending, left, ended, frames = b"", 0, False, 0
    for chunk in chunks:
        yield b""
        pending = b"" if ended else pending + chunk
        while pending and not ended:
            if left:
                data, pending = pending[:left], pending[left:]
                left -= len(data)
                yield data
                continue
            line, newline, rest = pending.removeprefix(b"\r\n").partition(b"\n")
            if not newline:
                if len(pending) > MAX_FRAME_LINE:
                    raise ExtractionError(ErrorCode.CORRUPT, "aws-chunked: a frame line without an end")
                break
            left, pending = _frame_size(line), rest
            frames = _count(frames)
            ended = left == 0
            yield b""
    if not ended:
        raise ExtractionError(ErrorCode.TRUNCATED, "aws-chunked: no last frame")


def _frame_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not _HEX.fullmatch(digits):
        raise ExtractionError(ErrorCode.CORRUPT, "aws-chunked: a frame without a size")
    return int(digits, 16)


_DECODERS: Final[dict[str, Callable[[Chunks], Chunks]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
    "aws-chunked": _aws_chunked,
}
