from __future__ import annotations

import pytest

from shared.extract.ranges import ContentRange, address_in, address_of, content_range
from tests.factories import make_head


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
