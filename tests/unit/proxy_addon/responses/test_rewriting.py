"""What may be changed, and what a changed message says of itself."""

from __future__ import annotations

import base64
import hashlib

import pytest

from proxy_addon.responses.rewriting import check_changeable, head_edits
from shared.errors import RedactionError, RedactionRefusal
from shared.types import Direction, Headers, HttpMessage
from tests.factories import make_head

OLD, NEW = b"the old body", b"the new body, longer"
SIGNED = "AWS4-HMAC-SHA256 Credential=AK/20270101/eu-west-1/s3/aws4_request, SignedHeaders={}, Signature=00"


def upload(*headers: tuple[str, str], query: str = "") -> HttpMessage:
    return HttpMessage(head=make_head(headers=headers, query=query), body=OLD, direction=Direction.OUTBOUND)


def download(*headers: tuple[str, str], status: int = 200) -> HttpMessage:
    head = make_head(method="GET", headers=headers, status=status)
    return HttpMessage(head=head, body=OLD, direction=Direction.INBOUND, request=make_head(method="GET"))


def coded(algorithm: str, data: bytes) -> str:
    return base64.b64encode(hashlib.new(algorithm, data).digest()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        (("authorization", SIGNED.format("host;x-amz-content-sha256")), ("x-amz-content-sha256", "0" * 64)),
        (("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),),
        (("authorization", SIGNED.format("content-length;host")), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")),
        (("authorization", SIGNED.format("content-md5;host")),),
        (("authorization", "AWS AKID:signature"),),
        (("authorization", "SharedKey account:signature"),),
        (("x-amz-checksum-crc32", "AAAAAA=="),),
        (("x-goog-hash", "crc32c=AAAAAA=="),),
        (("x-bz-content-sha1", "0" * 40),),
        (("signature-input", "sig1=()"), ("signature", "sig1=::")),
        (("dropbox-api-arg", '{"path": "/a.png", "content_hash": "00"}'),),
        (("trailer", "digest"),),
    ],
)
def test_signed_bodies_stay_as_they_are(headers: Headers) -> None:
    with pytest.raises(RedactionError) as refused:
        check_changeable(upload(*headers))
    assert refused.value.reason is RedactionRefusal.SIGNED_BODY


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ((("content-range", "bytes 0-9/100"),), ""),
        ((("tus-resumable", "1.0.0"),), ""),
        ((("x-goog-upload-command", "upload, finalize"),), ""),
        ((("x-entity-length", "100"),), ""),
        ((), "partNumber=1&uploadId=x"),
        ((), "uploadType=resumable&upload_id=x"),
        ((), "comp=block&blockid=AAAA"),
    ],
)
def test_pieces_of_an_upload_stay_as_they_are(headers: Headers, query: str) -> None:
    with pytest.raises(RedactionError) as refused:
        check_changeable(upload(*headers, query=query))
    assert refused.value.reason is RedactionRefusal.UPLOAD_SESSION


def test_what_may_be_changed() -> None:
    check_changeable(upload(("content-type", "image/png"), ("authorization", "Bearer x"), query="id=3&comp=blocks"))
    check_changeable(
        upload(("authorization", SIGNED.format("host;x-amz-date")), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"))
    )
    check_changeable(download(("etag", '"x"'), ("x-goog-hash", "md5=x"), ("content-range", "bytes 0-1/2")))


def test_a_part_of_a_download_stays_as_it_is() -> None:
    with pytest.raises(RedactionError) as refused:
        check_changeable(download(("content-range", "bytes 0-11/100"), status=206))
    assert refused.value.reason is RedactionRefusal.PARTIAL_CONTENT


def test_lengths_and_codings() -> None:
    edits = head_edits(upload(("content-length", "12"), ("content-encoding", "gzip")), NEW)
    assert edits.put == (("content-length", str(len(NEW))),)
    assert edits.drop == ("content-encoding",)
    assert head_edits(upload(("transfer-encoding", "chunked")), NEW).put == ()


def test_digests_are_computed_anew() -> None:
    headers = (
        ("content-md5", coded("md5", OLD)),
        ("digest", f"SHA-256={coded('sha256', OLD)},MD5={coded('md5', OLD)}"),
        ("repr-digest", f"sha-512=:{coded('sha512', OLD)}:"),
        ("content-digest", f"sha-256=:{coded('sha256', OLD)}:"),
    )
    put = dict(head_edits(upload(*headers), NEW).put)
    assert put["content-md5"] == coded("md5", NEW)
    assert put["digest"] == f"SHA-256={coded('sha256', NEW)}, MD5={coded('md5', NEW)}"
    assert put["repr-digest"] == f"sha-512=:{coded('sha512', NEW)}:"
    assert put["content-digest"] == f"sha-256=:{coded('sha256', NEW)}:"


@pytest.mark.parametrize(
    "header",
    [
        ("content-md5", hashlib.sha1(OLD, usedforsecurity=False).hexdigest()),  # Box puts its SHA-1 there
        ("digest", f"sha-256={coded('sha256', b'another body')}"),
        ("digest", "unixsum=30637"),
        ("repr-digest", "sha-256"),
        ("content-digest", "sha-256=:not base64!:"),
    ],
)
def test_a_digest_of_something_else_cannot_be(header: tuple[str, str]) -> None:
    with pytest.raises(RedactionError) as refused:
        head_edits(upload(header), NEW)
    assert refused.value.reason is RedactionRefusal.SIGNED_BODY


def test_a_download_loses_what_was_true_of_the_old_one() -> None:
    headers = (
        ("content-type", "image/png"),
        ("etag", '"1"'),
        ("x-goog-hash", "crc32c=x"),
        ("digest", "unixsum=1"),
        ("accept-ranges", "bytes"),
    )
    edits = head_edits(download(*headers), NEW)
    assert set(edits.drop) == {"content-encoding", "etag", "x-goog-hash", "digest", "accept-ranges"}
    assert dict(edits.put) == {"content-length": str(len(NEW)), "cache-control": "no-store"}
