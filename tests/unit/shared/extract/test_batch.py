from __future__ import annotations

import gzip
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ExtractionError
from shared.extract.batch import MAX_BODY, MAX_REQUESTS, is_batch, split_batch
from shared.types import Headers, HttpHead
from tests.factories import make_head
from tests.unit.shared.extract.pictures import run

MIXED: Headers = (("content-type", "multipart/mixed; boundary=b"),)
GRAPH = "/v1.0/$batch"


def mixed_head(path: str = "/batch/drive/v3", headers: Headers = MIXED) -> HttpHead:
    return make_head(path=path, headers=headers)


def json_head() -> HttpHead:
    return make_head(path=GRAPH, headers=(("content-type", "application/json"),))


def split(head: HttpHead, body: bytes) -> list[tuple[str, str, str, bytes]]:
    return [(inner.method, inner.path, inner.query, rest) for inner, rest in run(split_batch(head, body))]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (mixed_head(), True),
        (mixed_head("/sites/s/_api/$batch"), True),
        (json_head(), True),
        (mixed_head("/upload/drive/v3/files"), False),
        (make_head(path="/batch", headers=(("content-type", "application/json"),)), False),
        (make_head(method="GET", path=GRAPH), False),
    ],
)
def test_batches_are_known_by_their_heads(head: HttpHead, expected: bool) -> None:
    assert is_batch(head) is expected


def test_requests_in_multipart_mixed() -> None:
    body = (
        b"--b\r\nContent-Type: application/http\r\nContent-ID: <1>\r\n\r\n"
        b'POST /drive/v3/files/1/permissions?fields=id HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{"a": 1}\r\n'
        b"--b\nContent-Type: application/http\n\ndelete https://other.example/drive/v3/files/2\n\n--b--"
    )
    head = mixed_head()
    assert split(head, body) == [
        ("POST", "/drive/v3/files/1/permissions", "fields=id", b'{"a": 1}'),
        ("DELETE", "/drive/v3/files/2", "", b""),
    ]
    first, second = (inner for inner, _ in run(split_batch(head, body)))
    assert first.headers == (("content-type", "application/json"),)
    assert {first.host, second.host} == {head.host}


def test_change_sets_are_nested_once() -> None:
    inner = b"--c\r\nContent-Type: application/http\r\n\r\nPOST /a HTTP/1.1\r\n\r\nx\r\n--c--"
    body = b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" + inner + b"\r\n--b--"
    assert split(mixed_head("/_api/$batch"), body) == [("POST", "/a", "", b"x")]


def test_requests_in_json() -> None:
    requests = [
        {"id": "1", "method": "post", "url": "/me/drive/items/7/createLink", "body": {"type": "view"}},
        {"id": "2", "method": "GET", "url": "me?x=1", "headers": {"X-A": 1}},
    ]
    body = json.dumps({"requests": requests}).encode()
    assert split(json_head(), body) == [
        ("POST", "/v1.0/me/drive/items/7/createLink", "", b'{"type": "view"}'),
        ("GET", "/v1.0/me", "x=1", b""),
    ]
    packed = make_head(path=GRAPH, headers=(("content-encoding", "gzip"),))
    assert len(split(packed, gzip.compress(body))) == 2


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (json_head(), b"no JSON"),
        (json_head(), b"[" * 20_000),
        (json_head(), b"[]"),
        (json_head(), b"{}"),
        (json_head(), b'{"requests": {}}'),
        (json_head(), b'{"requests": [1]}'),
        (json_head(), b'{"requests": [{"method": "GET"}]}'),
        (json_head(), b'{"requests": [{"method": 1, "url": "/"}]}'),
        (json_head(), b'{"requests": [{"method": "GET", "url": "https://["}]}'),
        (json_head(), json.dumps({"requests": [{"method": "GET", "url": "/"}] * (MAX_REQUESTS + 1)}).encode()),
        (json_head(), bytes(MAX_BODY + 1)),
        (mixed_head(), b"no boundary"),
        (mixed_head(), b"--b\r\n\r\nnonsense\r\n--b--"),
        (mixed_head(), b"--b\r\n\r\nGET /\r\n" * (MAX_REQUESTS + 1) + b"--b--"),
        (mixed_head(headers=(*MIXED, ("content-encoding", "gzip"))), b"no gzip"),
    ],
)
def test_what_cannot_be_read_is_an_error(head: HttpHead, body: bytes) -> None:
    with pytest.raises(ExtractionError):
        split(head, body)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_requests_or_an_error(body: bytes, is_json: bool) -> None:
    with suppress(ExtractionError):
        assert all(method for method, *_ in split(json_head() if is_json else mixed_head(), b"--b\r\n" + body))
