from __future__ import annotations

import quopri

import pytest

from shared.extract.entity import MAX_HEAD, QUOTED_WINDOW, inner_entity, unquote
from tests.unit.shared.extract.pictures import JPEG


@pytest.mark.parametrize(
    "head",
    [
        b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: image/png",
        b"\r\nContent-Type: image/png",
        b"POST /a/b?c HTTP/1.1\r\nHost: h.example\r\nContent-Type: image/png",
        b"HTTP/1.1 200 OK\r\nContent-Type: image/png",
        b"HTTP/2 204\nContent-Type: image/png",
        b"Received: x\r\n by y\r\nContent-Type:\r\n image/png",
    ],
)
def test_heads(head: bytes) -> None:
    data = b"before" + head + (b"\n\n" if b"\r" not in head else b"\r\n\r\n") + b"content"
    entity = inner_entity(data, len(b"before"), len(data))
    assert entity is not None
    assert data[entity.start :] == b"content"
    assert entity.headers["content-type"].strip() == "image/png"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"a": "b"}\r\n\r\n',
        b"key: value\n\nmore",
        b"Content-Type: image/png",
        b"http://a.example\r\n\r\nContent-Type: a\r\n\r\n",
        b"A: b\r\n" * MAX_HEAD + b"Content-Type: a\r\n\r\n",
    ],
)
def test_other_beginnings(data: bytes) -> None:
    assert inner_entity(data, 0, len(data)) is None


def unquoted(data: bytes) -> bytes:
    steps = unquote(data, 0, len(data))
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: bytes = done.value
            return result


@pytest.mark.parametrize("data", [JPEG, b"a b\r\nc = d\r\n", bytes(range(256)) * 300])
def test_quoted_printable(data: bytes) -> None:
    assert unquoted(quopri.encodestring(data, quotetabs=True).replace(b"\r=\n", b"=0D=\n")) == data


@pytest.mark.parametrize("shift", range(4))
def test_escapes_across_windows(shift: int) -> None:
    text = b"x" * (QUOTED_WINDOW - shift) + b"=C3=A4" * 9
    assert unquoted(text) == b"x" * (QUOTED_WINDOW - shift) + "ä".encode() * 9
