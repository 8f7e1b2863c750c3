from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from shared.errors import ErrorCode
from shared.extract.units import Piece, Splitter, Unit, UnitFeed, frames_of, is_cut, is_framed, splitter_for

LIMIT = 100
CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def frame(data: bytes, flags: int = 0) -> bytes:
    return bytes((flags,)) + struct.pack(">I", len(data)) + data


def splitter(media_type: str) -> Splitter:
    made = splitter_for(media_type, LIMIT)
    assert made is not None
    return made


def units(media_type: str, *pieces: bytes) -> list[Unit]:
    cutter = splitter(media_type)
    return [unit for piece in pieces for unit in cutter.feed(piece)] + cutter.finish()


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"])
def test_events_end_with_a_blank_line(end: bytes) -> None:
    events = [b"data: 1" + end, b": comment" + end, b"event: a\ndata: 2" + end]
    whole = units("text/event-stream", b"".join(events))
    assert [unit.data for unit in whole] == events
    assert units("text/event-stream", *(bytes((byte,)) for byte in b"".join(events))) == whole


def test_an_event_is_given_out_at_once() -> None:
    cutter = splitter("text/event-stream")
    assert cutter.feed(b"data: 1\n") == []
    assert cutter.feed(b"\ndata") == [Unit(data=b"data: 1\n\n")]
    assert cutter.finish() == [Unit(data=b"data")]
    assert cutter.finish() == []


def test_lines() -> None:
    lines = [b'{"a": 1}\n', b"\n", b'{"b": 2}\r\n', b"rest"]
    assert [unit.data for unit in units("application/x-ndjson", b"".join(lines))] == lines


def test_a_large_event_passes_in_parts_that_say_so() -> None:
    large = b"x" * (LIMIT + 50) + b"\n\n"
    parts = units("text/event-stream", large[:120], large[120:], b"data: 1\n\n")
    assert b"".join(part.data for part in parts) == large + b"data: 1\n\n"
    assert [part.whole for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].data == b"data: 1\n\n"


def test_messages() -> None:
    messages = [frame(b""), frame(b"abc"), frame(b"z" * 60, 1), frame(b"grpc-status:0", 0x80)]
    whole = units("application/grpc", b"".join(messages))
    assert [unit.data for unit in whole] == messages
    assert units("application/grpc", *(bytes((byte,)) for byte in b"".join(messages))) == whole


def test_a_large_message_passes_in_parts_that_say_so() -> None:
    body = frame(b"y" * 500) + frame(b"next")
    parts = units("application/grpc-web+proto", body[:50], body[50:300], body[300:])
    assert b"".join(part.data for part in parts) == body
    assert [part.whole for part in parts] == [False] * (len(parts) - 1) + [True]


def test_a_cut_message_is_given_out_at_the_end() -> None:
    assert units("application/grpc", frame(b"abcdef")[:8]) == [Unit(data=frame(b"abcdef")[:8])]


def test_messages_of_a_body() -> None:
    body = frame(b"one") + frame(b"two", 1) + frame(b"trailers", 0x80) + frame(b"cut")[:7]
    frames = list(frames_of(body, 0, len(body)))
    assert [(body[each.start : each.end], each.compressed) for each in frames] == [
        (b"one", False),
        (b"two", True),
        (b"cu", False),
    ]


@pytest.mark.parametrize("media_type", ["application/grpc", "application/grpc+proto", "application/connect+json"])
def test_framed_types(media_type: str) -> None:
    assert is_framed(media_type)


@pytest.mark.parametrize("media_type", ["", "application/json", "application/grpc-web-text", "image/png"])
def test_other_types_are_not_cut(media_type: str) -> None:
    assert splitter_for(media_type, LIMIT) is None
    assert not is_cut(media_type)


def test_a_plain_stream_passes_unit_by_unit() -> None:
    feed = UnitFeed(splitter("text/event-stream"), ())
    first, second = Unit(data=b"data: 1\n\n"), Unit(data=b"data: 2\n\n")
    assert feed.feed(b"data: 1\n\ndata: 2\n\nda") == [
        Piece(data=first.data, units=(first,)),
        Piece(data=second.data, units=(second,)),
    ]
    assert feed.finish() == [Piece(data=b"da", units=(Unit(data=b"da"),))]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_coded_stream_passes_as_it_came(coding: str) -> None:
    events = [b"data: %d\n\n" % number for number in range(50)]
    coded = CODERS[coding](b"".join(events))
    for size in (1, 7, len(coded)):
        feed = UnitFeed(splitter("text/event-stream"), (coding,))
        pieces = [piece for at in range(0, len(coded), size) for piece in feed.feed(coded[at : at + size])]
        assert b"".join(piece.data for piece in pieces) == coded
        assert [unit.data for piece in pieces for unit in piece.units] == events
        assert feed.finish() == []


def test_a_unit_is_judged_with_the_bytes_that_complete_it() -> None:
    writer = zlib.compressobj(wbits=31)
    flushed = [
        writer.compress(part) + writer.flush(zlib.Z_SYNC_FLUSH) for part in (b"data: 1", b"\n\ndata", b": 2\n\n")
    ]
    feed = UnitFeed(splitter("text/event-stream"), ("gzip",))
    assert [[unit.data for unit in feed.feed(part)[0].units] for part in flushed] == [
        [],
        [b"data: 1\n\n"],
        [b"data: 2\n\n"],
    ]


@pytest.mark.parametrize(
    ("coding", "code"), [("gzip", ErrorCode.CORRUPT), ("br", ErrorCode.CORRUPT), ("secret", ErrorCode.OPAQUE)]
)
def test_what_cannot_be_read_passes_with_its_problem(coding: str, code: ErrorCode) -> None:
    feed = UnitFeed(splitter("text/event-stream"), (coding,))
    (piece,) = feed.feed(b"data: 1\n\n" * 20)
    assert (piece.data, piece.problem and piece.problem.code) == (b"data: 1\n\n" * 20, code)
    assert feed.feed(b"more") == [Piece(data=b"more")]
