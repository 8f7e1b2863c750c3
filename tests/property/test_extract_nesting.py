"""However a picture is wrapped, it is found; however a stream is cut, its units and its pictures are the same."""

from __future__ import annotations

import base64
import gzip
import io
import json
import quopri
from collections.abc import Callable
from itertools import pairwise
from random import Random
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.extract.budget import finished
from shared.extract.pipeline import extract
from shared.extract.split_pictures import Joined, SplitPictures
from shared.extract.units import UnitFeed, splitter_for
from shared.types import Direction, HttpHead, HttpMessage

LIMIT = 60


def drawn(kind: str) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("P" if kind == "GIF" else "RGB").save(out, kind)
    return out.getvalue()


PICTURES = [drawn(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP")]


def varint(number: int) -> bytes:
    return bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80,)) + varint(number >> 7)


def mail(data: bytes, encoding: str, encoded: bytes) -> bytes:
    head = f"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    return (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=bbb\r\n\r\n--bbb\r\n"
        + head
        + encoded
        + (b"\r\n--bbb--\r\n")
    )


WRAPPERS: list[Callable[[bytes], bytes]] = [
    lambda data: json.dumps({"id": 1, "data": base64.b64encode(data).decode()}).encode(),
    lambda data: json.dumps({"raw": base64.urlsafe_b64encode(data).decode().rstrip("=")}).encode(),
    lambda data: b"a=1&file=" + quote(base64.b64encode(data)).encode() + b"&b=2",
    lambda data: mail(data, "base64", base64.encodebytes(data).replace(b"\n", b"\r\n")),
    lambda data: (
        mail(data, "quoted-printable", quopri.encodestring(data, quotetabs=True)) if b"\r" not in data else data
    ),
    lambda data: json.dumps({"packed": base64.b64encode(gzip.compress(data)).decode()}).encode(),
]


def protobuf(data: bytes) -> bytes:
    return b"\x08\x01\x12" + varint(len(data)) + data + b"\x1a\x03end"


def message(body: bytes) -> HttpMessage:
    head = HttpHead(method="POST", scheme="https", host="h.example", port=443, path="/")
    return HttpMessage(head=head, body=body, direction=Direction.OUTBOUND)


@given(st.sampled_from(PICTURES), st.integers(0, 4), st.lists(st.sampled_from(WRAPPERS), max_size=3), st.booleans())
def test_wrapped_pictures_are_found(
    picture: bytes, nested: int, wrappers: list[Callable[[bytes], bytes]], packed: bool
) -> None:
    body = picture
    for wrap in [protobuf] * nested + wrappers:
        body = wrap(body)
    found = extract(message(gzip.compress(body) if packed else body))
    assert any(part.data.startswith(picture) for part in found.parts), found


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({place % (len(data) + 1) for place in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


stretches = st.one_of(
    st.binary(max_size=100),
    st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r", b"\n", b"\r\r", b"data: x", b"\x00\x00\x00\x00\x05hello"]),
)


@given(
    st.sampled_from(["text/event-stream", "application/x-ndjson", "application/grpc"]),
    st.lists(stretches, max_size=12).map(b"".join),
    st.lists(st.integers(0, 10**6), max_size=8),
    st.booleans(),
)
def test_any_cut_gives_the_same_units(media_type: str, body: bytes, cuts: list[int], coded: bool) -> None:
    sent = gzip.compress(body) if coded else body

    def units(pieces: list[bytes]) -> tuple[bytes, list[bytes]]:
        splitter = splitter_for(media_type, LIMIT)
        assert splitter is not None
        feed = UnitFeed(splitter, ("gzip",) if coded else ())
        given_out = [each for piece in pieces for each in feed.feed(piece)] + feed.finish()
        whole = [unit.data for each in given_out for unit in each.units if unit.whole]
        return b"".join(each.data for each in given_out), whole

    passed, whole = units(cut(sent, cuts))
    assert passed == sent
    assert whole == units([sent])[1]


def joined(split: SplitPictures, data: bytes, *, is_text: bool) -> Joined:
    return finished(split.add(data, is_text=is_text, now=0.0))


@given(st.sampled_from(PICTURES), st.lists(st.integers(30, 10**6), max_size=6), st.lists(st.booleans(), max_size=6))
def test_any_messages_give_the_same_picture(picture: bytes, cuts: list[int], texts: list[bool]) -> None:
    split = SplitPictures(1 << 20)
    # The first message has to show what it begins; the shortest signature that is checked ends at 30 bytes.
    pieces = cut(picture, [place % len(picture) for place in cuts if place % len(picture) >= 30])
    judged: list[bytes] = []
    for piece, text in zip(pieces, [*texts, *[False] * len(pieces)], strict=False):
        if text:
            assert joined(split, b"text", is_text=True) == Joined(now=b"text")
        judged.append(joined(split, piece, is_text=False).now)
    assert judged[-1] == picture
    assert split.finish() == []


@given(st.lists(st.tuples(st.binary(max_size=200), st.booleans()), max_size=8))
def test_any_messages_are_judged_or_given_out(messages: list[tuple[bytes, bool]]) -> None:
    split = SplitPictures(300)
    for data, text in messages:
        whole = joined(split, data, is_text=text)
        assert data in whole.now
    assert sum(map(len, split.finish())) <= 300


@given(
    st.sampled_from(PICTURES),
    st.lists(st.integers(90, 10**6), max_size=6),
    st.sampled_from(["", "index", "offset"]),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_any_pieces_of_base64_give_the_same_picture(
    picture: bytes, cuts: list[int], number: str, random: Random, each_for_itself: bool
) -> None:
    whole = base64.b64encode(picture).decode()
    places = [place % len(whole) // 4 * 4 for place in cuts if place % len(whole) >= 92]
    pieces = cut(whole.encode(), places)
    sent, at = [], 0
    for index, piece in enumerate(each for each in pieces if each):
        text = base64.b64encode(base64.b64decode(piece)) if each_for_itself else piece
        counted = {"index": {"index": index}, "offset": {"offset": at}}.get(number, {})
        sent.append(json.dumps({"id": "x", **counted, "data": text.decode()}).encode())
        at += len(piece)
    if number == "index" or (number == "offset" and len({len(each) for each in pieces[:-1]}) < 2):
        # The second one that comes tells by which member they are counted, and pieces below 64 characters are kept
        # only once the picture has begun.
        random.shuffle(rest := sent[1:])
        sent = [sent[0], *rest]
    split = SplitPictures(1 << 20)
    messages = [joined(split, each, is_text=True) for each in sent]
    if len(sent) > 1:
        assert messages[-1].whole == [picture]
    assert split.finish() == []


@given(st.lists(st.tuples(st.binary(max_size=60) | st.sampled_from(PICTURES), st.sampled_from(WRAPPERS)), max_size=6))
def test_any_texts_are_taken_in(messages: list[tuple[bytes, Callable[[bytes], bytes]]]) -> None:
    split = SplitPictures(3000)
    for data, wrap in messages:
        text = wrap(data)[: len(data) * 3 // 2]
        assert joined(split, text, is_text=True).now == text
    assert sum(map(len, split.finish())) <= 3000
