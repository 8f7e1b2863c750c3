"""Finds the images of an HTTP message: undo codings, sniff, split, search; one budget for all of it.

What a body says about itself is a hint at most.  It may be a picture, a multipart, a sequence of gRPC messages, or a
message with a head of its own (a mail, the answers of a batch); anything else is searched for pictures in base64, in
percent-encoding and as raw bytes.  What base64, quoted-printable or a coding stands for is visited in the same way.

Archives and documents (ZIP, OOXML, PDF, 7z, tar ...) are found like pictures and never opened here: workers do that in
their sandbox.

``extract_steps`` is meant for an event loop that has other flows to serve: it pauses at least every 2 ms of CPU, and
no single C call in it holds the GIL for longer, whatever the body is.  Any bytes give parts and problems; nothing is
raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

from shared.errors import ErrorCode
from shared.extract import base64_text, codings, embedded, embedded_files, multipart, percent_text
from shared.extract.budget import MAX_NAME, Extraction, Findings, Limits, Problem, Steps, finished
from shared.extract.entity import inner_entity, unquote
from shared.extract.fields import boundary_of, field_name, file_name, parse_value
from shared.extract.plain_text import SHORT, holds_nothing
from shared.extract.sniff import OPENED, SNIFF_BYTES, media_type_of, sniff, sniff_container
from shared.extract.units import frames_of, is_framed
from shared.types import HttpHead, HttpMessage, Part

__all__ = [
    "Extraction",
    "Limits",
    "Problem",
    "Steps",
    "extract",
    "extract_steps",
    "holds_nothing_at_all",
    "only_picture",
]

DEFAULT_LIMITS = Limits()
_GZIP_HEAD = 4 * SNIFF_BYTES
_PEEK = Limits(max_inflated_bytes=64 << 10)
_KNOWN_TRANSFER_ENCODINGS = frozenset({"", "7bit", "7-bit", "8bit", "8-bit", "binary", "quoted-printable", "base64"})


def extract(message: HttpMessage, limits: Limits = DEFAULT_LIMITS) -> Extraction:
    """Return the images of ``message``, without pausing."""
    return finished(extract_steps(message, limits))


def extract_steps(message: HttpMessage, limits: Limits = DEFAULT_LIMITS) -> Steps[Extraction]:
    """Return the images of ``message``, pausing at every ``yield``."""
    findings = Findings(limits)
    head = message.head
    applied = codings.codings_of([value for name, value in head.headers if name == "content-encoding"])
    body, is_cut = message.body, False
    if applied and body:
        inflated = yield from codings.undo(body, applied, limits)
        if inflated.error is not None:
            findings.report(inflated.error.code, "body", len(body), str(inflated.error))
            is_cut = inflated.error.code is ErrorCode.OVER_BUDGET
        if inflated.body or inflated.error is None:
            body = inflated.body
            findings.spend_inflated(len(body))
        # else the coding was named but never applied, a mistake that some clients forgive: look at the body as it is
    names = ("content-type", "content-disposition", "grpc-encoding", "connect-content-encoding")
    headers = {name: head.header(name) for name in names}
    yield from _Walk(findings, body, is_cut=is_cut).visit(0, len(body), headers, "", 0)
    return findings.result()


def holds_nothing_at_all(head: HttpHead, body: bytes) -> bool:
    """Tell by a few searches that ``extract`` finds nothing in a short body; false also where that is not known."""
    if len(body) > SHORT or _is_coded(head) or not _is_plain(head.header("content-type")):
        return False
    first = body[:SNIFF_BYTES]
    return (
        holds_nothing(body, 0, len(body))
        and sniff(first) is None
        and sniff_container(first) is None
        and multipart.guess_boundary(body, 0, len(body)) is None
        and inner_entity(body, 0, len(body)) is None
    )


def only_picture(head: HttpHead, body: bytes) -> Part | None:
    """Return what ``extract`` finds in a body that is a picture from its first byte on; None also for some that are.

    All at once: a SHA-256 takes 0.7 ms for a megabyte.
    """
    if _is_coded(head):
        return None
    media_type = sniff(body[:SNIFF_BYTES])
    if media_type is None:
        return None
    disposition = head.header("content-disposition")
    name = file_name(parse_value(disposition)) if disposition else ""
    sha256 = hashlib.sha256(body).hexdigest()
    return Part(data=body, media_type=media_type, locator="body", sha256=sha256, name=name[:MAX_NAME])


def _is_coded(head: HttpHead) -> bool:
    # In any of its fields: a first one that is empty does not speak for the others.
    return bool([None for name, value in head.headers if name == "content-encoding" and value])


@lru_cache(maxsize=1024)
def _is_plain(content_type: str) -> bool:
    declared = parse_value(content_type)
    return boundary_of(declared) is None and not is_framed(declared.main)


class _Walk:
    """Goes through one buffer, from the body down into nested multiparts; what is decoded gets a walk of its own."""

    def __init__(self, findings: Findings, data: bytes, *, is_cut: bool = False, level: int = 0) -> None:
        self._findings = findings
        self._data = data
        self._is_cut = is_cut
        self._level = level

    def visit(self, start: int, end: int, headers: Mapping[str, str], locator: str, depth: int) -> Steps[None]:
        """Take ``data[start:end]`` for what it is; ``locator`` is empty for a body, else ends with a slash."""
        if start >= end or self._findings.full:
            return
        head = self._data[start : min(start + SNIFF_BYTES, end)]
        place = locator.rstrip("/") or "body"
        media_type = sniff(head)
        if media_type:
            yield from self._image((start, end), media_type, headers, place)
            return
        container = sniff_container(head)
        if container == "gzip" and not (yield from self._wraps_container(start, end)):
            yield from self._coded((start, end), ("gzip",), headers, locator, depth)
            return
        if container in OPENED:
            yield from self._image((start, end), media_type_of(container), headers, place)
            return
        if container:
            self._findings.report(ErrorCode.OPAQUE, place, end - start, f"{container} is not opened")
            return
        declared = parse_value(headers.get("content-type", ""))
        boundary = boundary_of(declared) or multipart.guess_boundary(self._data, start, end)
        if boundary:
            yield from self._multipart((start, end), boundary, locator, depth)
        elif is_framed(declared.main):
            yield from self._frames((start, end), headers, locator, depth)
        elif (
            entity := inner_entity(self._data, start, end)
        ) is not None and depth < self._findings.limits.max_multipart_depth:
            yield from self._search((start, entity.start), "", locator)
            yield from self._entity(entity.start, end, entity.headers, locator, depth)
        else:
            yield from self._search((start, end), declared.main, locator)

    def _search(self, span: tuple[int, int], media_type: str, locator: str) -> Steps[None]:
        """Look for pictures in what has no structure that is known."""
        if holds_nothing(self._data, *span):
            return
        findings = self._findings
        yield from base64_text.scan(self._data, *span, findings, locator, self._inside)
        is_form = media_type == "application/x-www-form-urlencoded"
        yield from percent_text.scan(self._data, *span, findings, locator, is_form=is_form)
        start, end = span
        for begins, ends in (yield from embedded_files.scan(self._data, *span, findings, locator)):
            yield from embedded.scan(self._data, start, begins, findings, locator)
            start = ends
        yield from embedded.scan(self._data, start, end, findings, locator)

    def _wraps_container(self, start: int, end: int) -> Steps[bool]:
        """Tell by its first bytes whether gzip holds an archive, which workers open as it came."""
        head = memoryview(self._data)[start : min(start + _GZIP_HEAD, end)]
        inflated = yield from codings.undo(head, ("gzip",), _PEEK)
        return sniff_container(inflated.body[:SNIFF_BYTES]) in OPENED - {"gzip"}

    def _inside(self, data: bytes, locator: str) -> Steps[None]:
        yield from self._decoded(data, {}, locator, 0)

    def _decoded(self, data: bytes, headers: Mapping[str, str], locator: str, depth: int) -> Steps[None]:
        """Look into what a part of the buffer stands for."""
        limit = self._findings.limits.max_nesting
        if self._level == limit:
            message = f"more than {limit} codings inside each other"
            self._findings.report(ErrorCode.OVER_BUDGET, locator.rstrip("/") or "body", len(data), message)
            return
        yield from _Walk(self._findings, data, level=self._level + 1).visit(0, len(data), headers, locator, depth)

    def _coded(
        self, span: tuple[int, int], names: Sequence[str], headers: Mapping[str, str], locator: str, depth: int
    ) -> Steps[None]:
        """Undo the codings of a part of the buffer."""
        place = locator.rstrip("/") or "body"
        findings, raw = self._findings, memoryview(self._data)[span[0] : span[1]]
        inflated = yield from codings.undo(raw, names, findings.inflating)
        findings.spend_inflated(len(inflated.body))
        if inflated.error is not None:
            findings.report(inflated.error.code, place, len(raw), str(inflated.error))
        yield from self._decoded(inflated.body, headers, locator, depth)

    def _frames(self, span: tuple[int, int], headers: Mapping[str, str], locator: str, depth: int) -> Steps[None]:
        named = headers.get("grpc-encoding", "") or headers.get("connect-content-encoding", "")
        names = codings.codings_of([named])
        for number, frame in enumerate(frames_of(self._data, *span)):
            if not self._findings.spend_candidate(locator.rstrip("/") or "body", span[1] - frame.start):
                return
            place = f"{locator}message[{number}]/"
            if frame.compressed:
                yield from self._coded((frame.start, frame.end), names or ("gzip",), {}, place, depth)
            else:
                yield from self.visit(frame.start, frame.end, {}, place, depth)
            yield

    def _image(self, span: tuple[int, int], media_type: str, headers: Mapping[str, str], place: str) -> Steps[None]:
        if self._is_cut and span == (0, len(self._data)):
            return  # the rest is over budget, and has been reported
        if not self._findings.has_room(place, span[1] - span[0]):
            return
        name = file_name(parse_value(headers.get("content-disposition", "")))
        yield from self._findings.add_span(self._data, *span, media_type=media_type, locator=place, name=name)

    def _multipart(self, span: tuple[int, int], boundary: bytes, locator: str, depth: int) -> Steps[None]:
        findings, (start, end) = self._findings, span
        if depth >= findings.limits.max_multipart_depth:
            message = f"multipart nested more than {depth} deep"
            findings.report(ErrorCode.OVER_BUDGET, locator.rstrip("/"), end - start, message)
            return
        found = yield from multipart.split(self._data, start, end, boundary, findings.limits)
        for number, part in enumerate(found.parts):
            place = f"{locator}multipart[{number}]/"
            yield from self._part(part, place, depth)
            yield
        if found.problem:
            code, message = found.problem
            findings.report(code, locator.rstrip("/") or "body", end - found.rest, message)
        if not found.parts:
            yield from self._search(span, "", locator)

    def _part(self, part: multipart.BodyPart, place: str, depth: int) -> Steps[None]:
        disposition = parse_value(part.headers.get("content-disposition", ""))
        field = field_name(disposition)
        locator = f"{place}{field}/" if field else place
        size = part.end - part.start
        if part.oversized_head:
            message = f"a head of more than {self._findings.limits.max_header_bytes} bytes"
            self._findings.report(ErrorCode.OVER_BUDGET, locator.rstrip("/"), size, message)
        yield from self._entity(part.start, part.end, part.headers, locator, depth)

    def _entity(self, start: int, end: int, headers: Mapping[str, str], locator: str, depth: int) -> Steps[None]:
        """Take what stands behind a head of its own: a part, a mail, an HTTP message."""
        encoding = headers.get("content-transfer-encoding", "").strip().lower()
        if encoding not in _KNOWN_TRANSFER_ENCODINGS:
            message = f"unknown content-transfer-encoding {encoding[:40]}"
            self._findings.report(ErrorCode.OPAQUE, locator.rstrip("/") or "body", end - start, message)
        names = codings.codings_of([headers.get("content-encoding", "")])
        # Said to be encoded and is not: browsers and form parsers ignore the field.
        is_plain = sniff(self._data[start : min(start + SNIFF_BYTES, end)]) is not None
        if is_plain or start >= end:
            yield from self.visit(start, end, headers, locator, depth + 1)
        elif encoding == "base64":
            data = yield from base64_text.decode_span(self._data, start, end, self._findings, locator)
            yield from self._decoded(data, headers, locator, depth + 1)
        elif encoding == "quoted-printable":
            data = yield from unquote(self._data, start, end)
            yield from self._decoded(data, headers, locator, depth + 1)
        elif names:
            yield from self._coded((start, end), names, headers, locator, depth + 1)
        else:
            yield from self.visit(start, end, headers, locator, depth + 1)
