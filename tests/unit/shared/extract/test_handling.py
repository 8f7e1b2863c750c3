from __future__ import annotations

import gzip
from typing import Any

import pytest

from shared.extract.handling import TEE_BYTES, Handling, TeeSniffer, handling
from tests.factories import make_head
from tests.unit.shared.extract.pictures import JPEG

LIMIT = 1000


def decide(status: int | None = None, **fields: Any) -> Handling:
    method = fields.pop("method", "POST" if status is None else "GET")
    headers = tuple((name.replace("_", "-"), str(value)) for name, value in fields.items())
    return handling(make_head(method=method, status=status, headers=headers), max_object=LIMIT)


@pytest.mark.parametrize(
    "media_type", ["", "image/png", "application/json", "text/html", "text/css", "application/octet-stream"]
)
@pytest.mark.parametrize("status", [None, 200, 206, 404])
def test_what_may_hold_an_image_is_held(media_type: str, status: int | None) -> None:
    assert decide(status, content_type=media_type) is Handling.HOLD
    assert decide(status, content_type=media_type, content_length=LIMIT) is Handling.HOLD
    assert decide(status, content_type=media_type, content_length=LIMIT + 1) is Handling.TOO_LARGE


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "REPORT"])
def test_any_method_may_bring_a_body(method: str) -> None:
    assert decide(method=method) is Handling.HOLD


def test_no_body_nothing_to_hold() -> None:
    assert decide(content_length=0) is Handling.STREAM
    assert decide(method="CONNECT") is Handling.STREAM
    assert decide(200, method="HEAD", content_length=500) is Handling.STREAM
    assert [decide(status) for status in (101, 204, 304)] == [Handling.STREAM] * 3


@pytest.mark.parametrize(
    "media_type",
    ["text/event-stream", "Text/Event-Stream; charset=utf-8", "application/grpc+proto", "application/connect+json"],
)
def test_streams_are_cut_into_units(media_type: str) -> None:
    assert decide(200, content_type=media_type) is Handling.UNITS
    assert decide(content_type=media_type) is Handling.UNITS
    assert decide(200, content_type=media_type, content_length=0) is Handling.STREAM
    assert decide(200, content_type=media_type, content_length=100) is Handling.HOLD


def test_lines_are_cut_where_they_come_as_a_stream() -> None:
    assert decide(200, content_type="application/x-ndjson") is Handling.UNITS
    assert decide(200, content_type="application/x-ndjson", content_length=100) is Handling.HOLD
    assert decide(content_type="application/x-ndjson") is Handling.HOLD


@pytest.mark.parametrize("media_type", ["application/grpc-web-text", "multipart/x-mixed-replace; boundary=x"])
def test_endless_responses_that_nothing_cuts_are_streamed(media_type: str) -> None:
    assert decide(200, content_type=media_type) is Handling.STREAM
    assert decide(content_type=media_type) is Handling.HOLD


@pytest.mark.parametrize("media_type", ["video/mp4", "AUDIO/ogg"])
def test_sound_and_video_are_teed_both_ways(media_type: str) -> None:
    assert decide(200, content_type=media_type, content_length=LIMIT * 9) is Handling.TEE
    assert decide(content_type=media_type) is Handling.TEE


@pytest.mark.parametrize(
    "media_type",
    ["font/woff2", "application/font-woff", "text/javascript", "application/wasm"],
)
def test_page_furniture_is_teed_in_responses_only(media_type: str) -> None:
    assert decide(200, content_type=media_type) is Handling.TEE
    assert decide(content_type=media_type) is Handling.HOLD


@pytest.mark.parametrize("length", ["-1", "abc", "1e9", "", "9" * 30, "١٢"])
def test_a_length_that_is_none_is_ignored(length: str) -> None:
    assert decide(content_length=length) is Handling.HOLD


@pytest.mark.parametrize("size", [1, 7, 1000, 10_000])
@pytest.mark.parametrize(
    ("body", "encoding", "found"),
    [
        (JPEG + bytes(5000), "", True),
        (JPEG, "", True),
        (gzip.compress(JPEG + bytes(5000), mtime=0), "gzip", True),
        (gzip.compress(JPEG, mtime=0), "GZIP, identity", True),
        (JPEG, "gzip", True),
        (b"body { color: red }" * 500, "", False),
        (gzip.compress(b"body { color: red }", mtime=0), "gzip", False),
        (b"", "gzip", False),
    ],
)
def test_a_tee_passes_everything_and_sees_the_head(body: bytes, encoding: str, found: bool, size: int) -> None:
    tee = TeeSniffer(encoding)
    passed = b"".join(tee.feed(body[at : at + size]) for at in range(0, len(body), size))
    assert (passed, tee.found_image) == (body, found)


def test_a_tee_looks_at_the_start_only() -> None:
    tee = TeeSniffer()
    tee.feed(bytes(TEE_BYTES))
    tee.feed(JPEG)
    assert not tee.found_image
