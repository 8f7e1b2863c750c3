"""What is said to hold nothing without a search, no search finds anything in."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from shared.extract import base64_text, embedded, embedded_files, percent_text
from shared.extract.base64_text import MIN_RUN
from shared.extract.budget import Extraction, Findings, Limits, finished
from shared.extract.pipeline import extract, holds_nothing_at_all, only_picture
from shared.extract.plain_text import holds_nothing
from shared.types import Direction, HttpHead, HttpMessage
from tests.factories import make_head

TIGHT = Limits(max_images=1, max_base64_candidates=1, max_embedded_bytes=16, max_base64_bytes=16)
HEADS = [
    b"\xff\xd8\xff\xe0\x00\x10JFIF",
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d",
    b"GIF89a\x01\x00",
    b"RIFF\x40\x00\x00\x00WEBP",
]
pieces = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=40).map(str.encode),
    st.sampled_from(HEADS).map(lambda head: head + bytes(80)),
    st.sampled_from(HEADS).map(lambda head: head + b"a" * 80),
    st.sampled_from(HEADS).map(lambda head: base64.b64encode(head + b"a" * 80)),
    st.sampled_from(HEADS).map(lambda head: base64.encodebytes(head + b"a" * 80)),
    st.sampled_from(HEADS).map(lambda head: "".join(f"%{byte:02x}" for byte in head + b"a" * 30).encode()),
    st.sampled_from(
        [b"PK\x03\x04" + bytes(80), b"%PDF-1.7\n1 0 obj" + b" " * 80, b"7z\xbc\xaf\x27\x1c\x00" + bytes(80)]
    ),
    st.sampled_from(
        [b"PK\x03\x04" + b"\x14\x01" * 40, b"7z\xbc\xaf\x27\x1c" + b"\x01" * 80, b"\\/", b"%", b"\r\n", b"="]
    ),
    st.integers(min_value=50, max_value=70).map(lambda size: b"A" * size),
)
texts = st.lists(pieces, max_size=6).map(b"".join)


def search(data: bytes, start: int, end: int, *, is_form: bool) -> Extraction:
    findings = Findings(TIGHT)
    finished(base64_text.scan(data, start, end, findings, ""))
    finished(percent_text.scan(data, start, end, findings, "", is_form=is_form))
    finished(embedded_files.scan(data, start, end, findings, ""))
    finished(embedded.scan(data, start, end, findings, ""))
    return findings.result()


@given(texts, st.binary(max_size=8), st.binary(max_size=8), st.booleans())
def test_no_search_finds_anything(text: bytes, before: bytes, after: bytes, is_form: bool) -> None:
    data, start = before + text + after, len(before)
    if holds_nothing(data, start, start + len(text)):
        assert search(data, start, start + len(text), is_form=is_form) == Extraction()
        assert not list(filter(None, base64_text.find_runs(data, start, start + len(text))))


@given(st.text(st.characters(codec="ascii", exclude_characters="%\0"), max_size=60))
def test_short_text_is_known_to_hold_nothing(text: str) -> None:
    assert holds_nothing(text.encode(), 0, len(text))


first_bytes = st.sampled_from(
    [b"", b"GIF89a", b"{\\rtf", b"--b\r\nA: b\r\n\r\n", b"Content-Type: a/b\r\n\r\n", b"BZh91AY&SY"]
)


@given(
    st.tuples(first_bytes, texts).map(b"".join),
    st.sampled_from(["", "application/json", "multipart/form-data; boundary=b", "application/grpc", "text/html"]),
    st.sampled_from(["", "gzip"]),
)
def test_what_passes_unopened_holds_nothing(body: bytes, media_type: str, coding: str) -> None:
    headers = (("content-type", media_type), ("content-encoding", coding))
    head = HttpHead(method="POST", scheme="https", host="h.example", port=443, path="/", headers=headers)
    if holds_nothing_at_all(head, body):
        assert extract(HttpMessage(head=head, body=body, direction=Direction.OUTBOUND)) == Extraction()
    elif not coding and media_type in {"", "application/json"} and body.isalnum() and len(body) < MIN_RUN:
        assert body.startswith((b"GIF8", b"BZh"))


codings = st.lists(st.sampled_from(["", "identity", "gzip", "br"]), max_size=2)


@given(
    st.one_of(texts, st.sampled_from(HEADS).map(lambda head: head + bytes(80)), st.binary(max_size=40)),
    st.sampled_from(["", "attachment", 'attachment; filename="a.png"', "attachment; filename=" + "x" * 300]),
    codings,
)
def test_a_body_that_is_one_picture_is_what_is_extracted(body: bytes, disposition: str, named: list[str]) -> None:
    fields = (("content-disposition", disposition), *(("content-encoding", name) for name in named))
    head = make_head(headers=fields)
    part = only_picture(head, body)
    if part is not None:
        assert extract(HttpMessage(head=head, body=body, direction=Direction.OUTBOUND)) == Extraction(parts=(part,))


def test_a_coding_in_any_field_counts() -> None:
    head = make_head(headers=(("content-encoding", ""), ("content-encoding", "br")))
    assert only_picture(head, HEADS[0] + bytes(80)) is None
    assert not holds_nothing_at_all(head, b"{}")
    assert holds_nothing_at_all(make_head(headers=(("content-encoding", ""),)), b"{}")
