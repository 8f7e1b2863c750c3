from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence

import brotli
import pytest
import zstandard

from shared.errors import ErrorCode
from shared.extract.budget import MIB, Limits
from shared.extract.codings import MAX_FRAMES, OUTPUT_WINDOW, Inflated, codings_of, undo

TEXT = b"a picture, said in a few words; " * 10_000


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def aws_chunked(data: bytes, size: int = 1000) -> bytes:
    frames = [data[at : at + size] for at in range(0, len(data), size)] + [b""]
    return b"".join(b"%x;chunk-signature=00\r\n%b\r\n" % (len(frame), frame) for frame in frames)


def inflate(body: bytes, *codings: str, limits: Limits | None = None) -> Inflated:
    steps = undo(body, codings, limits or Limits())
    while True:
        try:
            next(steps)
        except StopIteration as done:
            inflated = done.value
            assert isinstance(inflated, Inflated)
            return inflated


def code_of(inflated: Inflated) -> ErrorCode | None:
    return inflated.error.code if inflated.error else None


PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "br": brotli.compress(TEXT),
    "zstd": zstandard.compress(TEXT),
    "aws-chunked": aws_chunked(TEXT),
}


@pytest.mark.parametrize("coding", PACKED)
def test_each_coding(coding: str) -> None:
    assert inflate(PACKED[coding], coding) == Inflated(body=TEXT)


def test_raw_deflate() -> None:
    assert inflate(raw_deflate(TEXT), "deflate").body == TEXT


def test_several_codings_in_a_row() -> None:
    body = aws_chunked(brotli.compress(gzip.compress(zstandard.compress(TEXT))))
    assert inflate(body, "zstd", "gzip", "br", "aws-chunked") == Inflated(body=TEXT)


def test_members_and_frames_in_a_row() -> None:
    assert inflate(gzip.compress(TEXT) + gzip.compress(b"more") + bytes(3), "gzip") == Inflated(body=TEXT + b"more")
    assert inflate(zstandard.compress(TEXT) + zstandard.compress(b"more"), "zstd").body == TEXT + b"more"


def test_aws_chunked_with_trailers() -> None:
    body = b"3\r\nabc\r\n4;chunk-signature=ff\r\ndefg\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"
    assert inflate(body, "aws-chunked") == Inflated(body=b"abcdefg")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "aws-chunked"])
def test_a_cut_stream_keeps_what_came(coding: str) -> None:
    inflated = inflate(PACKED[coding][:-3], coding)
    assert code_of(inflated) is ErrorCode.TRUNCATED
    assert TEXT.startswith(inflated.body[: len(TEXT)])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "aws-chunked"])
def test_what_is_not_packed_is_corrupt(coding: str) -> None:
    inflated = inflate(b"not packed\n at all, but long enough to be looked into", coding)
    assert (code_of(inflated), inflated.body) == (ErrorCode.CORRUPT, b"")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_bytes_after_the_end(coding: str) -> None:
    inflated = inflate(PACKED[coding] + b"!" * 40_000, coding)
    assert code_of(inflated) is ErrorCode.CORRUPT
    # The brotli library gives nothing out of a call in which it meets such bytes.
    assert inflated.body == (TEXT if coding != "br" else TEXT[: len(inflated.body)])


@pytest.mark.parametrize("coding", PACKED)
def test_an_empty_body_is_empty(coding: str) -> None:
    assert inflate(b"", coding).body == b""


def test_an_unknown_coding_is_opaque() -> None:
    assert code_of(inflate(TEXT, "gzip", "compress")) is ErrorCode.OPAQUE


def test_too_many_codings() -> None:
    assert code_of(inflate(TEXT, "gzip", "gzip", limits=Limits(max_codings=1))) is ErrorCode.OVER_BUDGET


BOMBS = {
    "gzip": gzip.compress(bytes(8 * MIB)),
    "deflate": zlib.compress(bytes(8 * MIB)),
    "br": brotli.compress(bytes(8 * MIB), quality=1),
    "zstd": zstandard.compress(bytes(8 * MIB)),
}


@pytest.mark.parametrize("coding", BOMBS)
def test_inflated_bytes_are_bounded(coding: str) -> None:
    inflated = inflate(BOMBS[coding], coding, limits=Limits(max_inflated_bytes=MIB))
    assert code_of(inflated) is ErrorCode.OVER_BUDGET
    assert MIB < len(inflated.body) <= MIB + 2 * OUTPUT_WINDOW


@pytest.mark.parametrize("coding", BOMBS)
def test_the_ratio_counts_past_its_floor(coding: str) -> None:
    assert code_of(inflate(BOMBS[coding], coding)) is None
    limits = Limits(inflate_ratio_floor=MIB, max_inflate_ratio=100)
    assert code_of(inflate(BOMBS[coding], coding, limits=limits)) is ErrorCode.OVER_BUDGET


@pytest.mark.parametrize(
    ("body", "coding"),
    [(gzip.compress(b"", mtime=0) * (MAX_FRAMES + 1), "gzip"), (b"1\r\nx\r\n" * (MAX_FRAMES + 1), "aws-chunked")],
)
def test_members_and_frames_are_bounded(body: bytes, coding: str) -> None:
    assert code_of(inflate(body, coding)) is ErrorCode.OVER_BUDGET


@pytest.mark.parametrize("body", [b"zz\r\nabc", b"-5\r\nabc", b"\r\n\r\n\r\n", b"5" * 5000 + b"\r\n", b"7" * 5000])
def test_broken_frames(body: bytes) -> None:
    assert code_of(inflate(body, "aws-chunked")) is ErrorCode.CORRUPT


def test_input_that_inflates_to_nothing_still_pauses() -> None:
    empty_frames = zstandard.compress(b"") * 20_000
    assert len(list(undo(empty_frames, ["zstd"], Limits()))) >= len(empty_frames) // (64 * 1024)


@pytest.mark.parametrize(
    ("values", "codings"),
    [([], ()), (["gzip"], ("gzip",)), (["GZIP, br", "identity"], ("gzip", "br")), (["", " , "], ())],
)
def test_field_values(values: Sequence[str], codings: tuple[str, ...]) -> None:
    assert codings_of(values) == codings
