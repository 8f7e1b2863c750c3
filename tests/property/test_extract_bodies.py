"""Any bytes give parts or problems; what is put in comes out; cutting a streamed body changes nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.extract.handling import TeeSniffer
from shared.extract.pipeline import Limits, extract
from shared.extract.sniff import media_type_of, sniff, sniff_container
from shared.types import Direction, HttpHead, HttpMessage

SMALL = Limits(max_images=3, max_inflated_bytes=4096, max_multipart_parts=4, max_header_bytes=64, max_base64_bytes=4096)
MAGIC = [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a"]
TYPES = [
    "",
    "application/grpc",
    "application/x-www-form-urlencoded",
    "message/rfc822",
    "multipart/form-data; boundary=b",
    "multipart/mixed",
    "application/json",
    "image/png; x",
    ';;="',
    "a" * 99,
]
CODINGS = ["", "gzip", "br", "zstd", "deflate, gzip", "aws-chunked", "what", "gzip, gzip, gzip, gzip, gzip"]

# Pieces that the parsers know, in any order: closer to trouble than random bytes.
pieces = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [
            *MAGIC,
            *(base64.b64encode(magic + bytes(60)) for magic in MAGIC),
            b"--b\r\n",
            b"\r\n--b\r\n",
            b"\n--b--",
            b"\r\n\r\n",
            b'Content-Disposition: form-data; name="x',
            b"Content-Transfer-Encoding: base64\r\n",
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
            b"\\u00",
            b"\\\\/",
            b"%2",
            b"data:image/png;base64,",
            b"A" * 70,
            b"PK\x03\x04",
            b"5\r\nabcde\r\n0\r\n\r\n",
            b"\x1f\x8b\x08\x00",
            b"\x28\xb5\x2f\xfd",
            b"%89PNG%0D%0A%1A%0A%00",
            b"Content-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
            b"=FF=D8=FF",
            b"\x12\xff\x01",
            b"\x00\x00\x00\x00\x40",
            base64.b64encode(b'{"image": "' + base64.b64encode(MAGIC[1] + bytes(60)) + b'"}'),
            gzip.compress(b'{"image": "' + base64.b64encode(MAGIC[0] + bytes(60)) + b'"}'),
        ]
    ),
)
bodies = st.lists(pieces, max_size=12).map(b"".join)
images = st.builds(lambda magic, rest: magic + rest, st.sampled_from(MAGIC), st.binary(min_size=60, max_size=400))
words = st.text(st.characters(categories=["L", "N"], exclude_characters="\\"), min_size=1, max_size=20)


def message(body: bytes, media_type: str, coding: str) -> HttpMessage:
    headers = (("content-type", media_type), ("content-encoding", coding))
    head = HttpHead(method="POST", scheme="https", host="h.example", port=443, path="/", headers=headers)
    return HttpMessage(head=head, body=body, direction=Direction.OUTBOUND)


@given(bodies, st.sampled_from(TYPES) | st.text(max_size=40), st.sampled_from(CODINGS) | st.text(max_size=10))
def test_any_bytes_give_parts_and_problems(body: bytes, media_type: str, coding: str) -> None:
    result = extract(message(body, media_type, coding), SMALL)
    assert len(result.parts) <= SMALL.max_images
    assert len({part.sha256 for part in result.parts}) == len(result.parts)
    for part in result.parts:
        kind = sniff_container(part.data)
        assert (sniff(part.data) or (kind and media_type_of(kind))) == part.media_type
        assert hashlib.sha256(part.data).hexdigest() == part.sha256


@given(
    st.lists(st.tuples(words, images), max_size=5, unique_by=lambda item: item[1]), st.sampled_from([b"\r\n", b"\n"])
)
def test_a_form_gives_back_its_files(files: list[tuple[str, bytes]], newline: bytes) -> None:
    boundary = hashlib.sha256(b"".join(data for _, data in files)).hexdigest()
    body = b""
    for name, data in files:
        disposition = f'Content-Disposition: form-data; name="f"; filename="{name}"'.encode()
        body += b"--" + boundary.encode() + newline + disposition + newline * 2 + data + newline
    body += b"--" + boundary.encode() + b"--"
    result = extract(message(body, f"multipart/form-data; boundary={boundary}", ""))
    assert [(part.name, part.data) for part in result.parts] == files
    assert result.problems == () or not files


@given(st.recursive(images | words | st.none(), lambda inner: st.lists(inner) | st.dictionaries(words, inner)))
def test_json_gives_back_its_images(tree: object) -> None:
    expected: list[bytes] = []

    def write(node: object) -> object:
        if isinstance(node, bytes):
            expected.append(node)
            return base64.b64encode(node).decode()
        if isinstance(node, list):
            return [write(item) for item in node]
        return {key: write(item) for key, item in node.items()} if isinstance(node, dict) else node

    body = json.dumps(write(tree)).encode()
    found = [part.data for part in extract(message(body, "application/json", "")).parts]
    assert found == list(dict.fromkeys(expected))[: len(found)]
    assert len(found) == min(len(set(expected)), 64)


@given(bodies, st.lists(st.integers(0, 600)), st.sampled_from(["", "gzip", "br"]))
def test_a_tee_gives_the_same_answer_for_any_cut(body: bytes, cuts: list[int], coding: str) -> None:
    whole, cut = TeeSniffer(coding), TeeSniffer(coding)
    whole.feed(body)
    edges = [0, *sorted(min(edge, len(body)) for edge in cuts), len(body)]
    passed = b"".join(cut.feed(body[start:end]) for start, end in pairwise(edges))
    assert passed == body
    assert cut.found_image == whole.found_image
