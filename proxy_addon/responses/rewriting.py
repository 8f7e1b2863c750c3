"""Whether a message may be changed, and what its head must say once its body has been.

A body that its sender signed cannot be changed without being refused by its receiver, and a piece of a larger upload
not without its other pieces.  A digest that fits the old body is computed anew; one that does not fit it is of
something else, and nobody here can compute that.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from shared.errors import RedactionError, RedactionRefusal
from shared.types import Direction, Headers, HttpHead, HttpMessage

_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_AWS_4: Final = re.compile(r"AWS4-(?:HMAC|ECDSA-P256)-SHA256\b.*?SignedHeaders=([^,\s]*)", re.IGNORECASE)
_ABOUT_THE_BODY: Final = re.compile(r"content-(?:length|md5|digest|encoding)|digest|repr-digest|x-amz-checksum-.*")
_SIGNED_SCHEMES: Final = ("aws ", "sharedkey ", "signature ", "hmac")
# AWS, Google Cloud Storage, Backblaze B2, Azure Blob Storage; RFC 9421.
_SIGNED_FIELDS: Final = re.compile(
    r"x-amz-(?:checksum-.*|decoded-content-length|sdk-checksum-algorithm|trailer)|x-goog-(?:content-sha256|hash)"
    r"|x-bz-content-sha1|x-ms-blob-content-md5|signature-input|trailer"
)
# RFC 9110 14.4; tus 1.0; Google's scotty; Instagram's rupload.
_SESSION_FIELDS: Final = re.compile(
    r"content-range|tus-resumable|upload-offset|upload-length|x-goog-upload-(?:command|offset)|x-entity-length|offset"
)
# S3 parts, Google's resumable uploads, Azure's blocks.
_SESSION_QUERY: Final = re.compile(
    r"(?:^|&)(?:uploadid|partnumber|upload_id|blockid|comp=(?:block|page|appendblock))\b", re.IGNORECASE
)
_OF_THE_OLD_RESPONSE: Final = re.compile(
    r"etag|last-modified|accept-ranges|expires|age|pragma|x-goog-hash|x-goog-stored-content-.*|x-amz-checksum-.*"
    r"|x-ms-blob-content-md5|content-md5|digest|repr-digest|content-digest"
)
_PARTIAL: Final = 206
_DIGEST: Final = re.compile(r"\s*([A-Za-z0-9-]+)=(:?)([A-Za-z0-9+/=]+)(:?)\s*(?:,|\Z)")
_ALGORITHMS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "sha-256": lambda data: hashlib.sha256(data).digest(),
    "sha-512": lambda data: hashlib.sha512(data).digest(),
    "sha": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
}


class Framing(Enum):
    """What around a picture may be rewritten, so that whoever reads the message still finds his way in it."""

    FREE = auto()
    """Text, or a body whose lengths are in its head: a picture anywhere in it may grow and shrink."""
    OPAQUE = auto()
    """Bytes that may hold lengths nobody here knows: only a picture that is the whole message may."""
    FIXED = auto()
    """A part of something that has passed already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What changes in a head: names in lower case."""

    put: Headers = ()
    drop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """A message that passes changed; ``mark`` is the ``X-Safelight`` of the response that the client gets."""

    body: bytes
    edits: Edits
    mark: str = ""


def check_changeable(message: HttpMessage) -> None:
    """Raise RedactionError where the body of a message must stay as it is."""
    head = message.head
    if head.status == _PARTIAL:
        raise RedactionError(RedactionRefusal.PARTIAL_CONTENT, "a part of a larger download")
    if message.direction is Direction.INBOUND:
        return
    names = [name for name, _ in head.headers]
    if any(map(_SESSION_FIELDS.fullmatch, names)) or _SESSION_QUERY.search(head.query):
        raise RedactionError(RedactionRefusal.UPLOAD_SESSION, "a part of an upload in several requests")
    if any(map(_SIGNED_FIELDS.fullmatch, names)) or _is_signed(head):
        raise RedactionError(RedactionRefusal.SIGNED_BODY, "the sender signed the body or sends its checksum")


def _is_signed(head: HttpHead) -> bool:
    authorization = head.header("authorization")
    if authorization.lower().startswith(_SIGNED_SCHEMES) or "content_hash" in head.header("dropbox-api-arg"):
        return True
    if head.header("x-amz-content-sha256") not in ("", _UNSIGNED):
        return True
    signed = _AWS_4.match(authorization)
    return signed is not None and any(map(_ABOUT_THE_BODY.fullmatch, signed[1].lower().split(";")))


def head_edits(message: HttpMessage, body: bytes) -> Edits:
    """Return what the head must say of ``body``, which stands without content-coding in the old one's place.

    Raises RedactionError for a digest that nobody here can compute.
    """
    head = message.head
    put, drop = list(_lengths(head, body)), ["content-encoding"]
    if message.direction is Direction.INBOUND:
        drop += [name for name, _ in head.headers if _OF_THE_OLD_RESPONSE.fullmatch(name)]
        put.append(("cache-control", "no-store"))
    else:
        put += _digests(message, body)
    return Edits(put=tuple(put), drop=tuple(drop))


def _lengths(head: HttpHead, body: bytes) -> Iterator[tuple[str, str]]:
    if not head.header("transfer-encoding"):
        yield "content-length", str(len(body))


def _digests(message: HttpMessage, body: bytes) -> Iterator[tuple[str, str]]:
    head = message.head
    for name in ("digest", "repr-digest", "content-digest"):
        if value := head.header(name):
            yield name, _new_digest(value, message.body, body)
    if md5 := head.header("content-md5"):
        if md5.strip() != _coded("md5", message.body):
            raise RedactionError(RedactionRefusal.SIGNED_BODY, "a Content-MD5 that is not the body's")
        yield "content-md5", _coded("md5", body)


def _new_digest(value: str, old: bytes, new: bytes) -> str:
    written: list[str] = []
    at = 0
    while at < len(value):
        match = _DIGEST.match(value, at)
        algorithm = match[1].lower() if match else ""
        if match is None or algorithm not in _ALGORITHMS or match[3] != _coded(algorithm, old):
            raise RedactionError(RedactionRefusal.SIGNED_BODY, "a digest that is not known to be the body's")
        written.append(f"{match[1]}={match[2]}{_coded(algorithm, new)}{match[4]}")
        at = match.end()
    return ", ".join(written)


def _coded(algorithm: str, data: bytes) -> str:
    return base64.b64encode(_ALGORITHMS[algorithm](data)).decode()
