from __future__ import annotations

import pytest

from shared.extract.budget import Limits
from shared.extract.ranges import (
    ContentRange,
    Range,
    address_in,
    address_of,
    content_range,
    ranges_of,
    stable_address,
)
from shared.types import Direction, HttpMessage
from tests.factories import make_head
from tests.unit.shared.extract.pictures import run


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bytes 0-499/1234", ContentRange(start=0, end=500, total=1234)),
        (" Bytes 500-1233/1234 ", ContentRange(start=500, end=1234, total=1234)),
        ("bytes 42-42/*", ContentRange(start=42, end=43, total=None)),
        ("bytes */1234", ContentRange(start=None, end=None, total=1234)),
        ("bytes */*", None),
        ("bytes 9-8/20", None),
        ("bytes 0-20/20", None),
        ("bytes 0-9999999999999999999/*", None),
        ("items 0-1/2", None),
        ("bytes 0-1/2, 3-4/5", None),
        ("", None),
    ],
)
def test_content_ranges(text: str, found: ContentRange | None) -> None:
    assert content_range(text) == found


def test_parts_of_one_upload_have_one_address() -> None:
    parts = [make_head(host="S3.example", path="/b/k", query=f"?partNumber={n}&uploadId=x") for n in (1, 2)]
    assert {address_of(part) for part in parts} == {"s3.example/b/k?uploadId=x"}
    assert address_of(make_head(host="a", port=8443, path="/u")) == "a:8443/u?"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://up.example/s/1?sig=a%2Bb", "up.example/s/1?sig=a%2Bb"),
        ("https://UP.example:443/s", "up.example/s?"),
        ("http://up.example:8080", "up.example:8080/?"),
        ("/files/7", "files.vendor.example/files/7?"),
        ("https://[::1]:9/x", "::1:9/x?"),
        ("https://[broken/x", None),
        ("upload-77", None),
        ("", None),
    ],
)
def test_addresses_that_replies_name(text: str, address: str | None) -> None:
    assert address_in(text, make_head()) == address


def test_the_address_in_a_reply_is_the_one_of_the_request_that_follows() -> None:
    named = address_in("http://[::1]:9/x?upload_id=7", make_head())
    assert named == address_of(make_head(scheme="http", host="::1", port=9, path="/x", query="upload_id=7"))


def test_a_link_signed_anew_leads_to_the_same_object() -> None:
    links = [
        "id=7&X-Amz-Date=1&X-Amz-Signature=a",
        "X-Amz-Signature=b&id=7&X-Amz-Date=2",
    ]
    assert len({stable_address(make_head(query=query)) for query in links}) == 1
    assert stable_address(make_head(query="id=8")) != stable_address(make_head(query="id=7"))


def response(body: bytes, *headers: tuple[str, str]) -> HttpMessage:
    return HttpMessage(head=make_head(status=206, headers=headers), body=body, direction=Direction.INBOUND)


def test_one_range() -> None:
    found = run(ranges_of(response(b"12345", ("content-range", "bytes 10-14/20")), Limits()))
    assert found == (Range(begin=0, end=5, offset=10, total=20),)


def test_several_ranges() -> None:
    body = (
        b"--b\r\nContent-Range: bytes 0-1/9\r\n\r\nab\r\n"
        b"--b\r\nContent-Range: bytes 5-9/9\r\n\r\nno\r\n"
        b"--b\r\nContent-Range: bytes 4-6/*\r\n\r\nefg\r\n--b--\r\n"
    )
    found = run(ranges_of(response(body, ("content-type", "multipart/byteranges; boundary=b")), Limits()))
    assert [(body[each.begin : each.end], each.offset, each.total) for each in found] == [
        (b"ab", 0, 9),
        (b"efg", 4, None),
    ]


@pytest.mark.parametrize("header", ["bytes 10-15/20", "bytes */20", "words 1-2/3", ""])
def test_what_does_not_fit_is_no_range(header: str) -> None:
    assert run(ranges_of(response(b"12345", ("content-range", header)), Limits())) == ()
