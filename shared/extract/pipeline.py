"""Finds the images of an HTTP message: undo codings, sniff, split, search text; one budget for all of it.

``extract_steps`` is meant for an event loop that has other flows to serve: it pauses at least every 2 ms of CPU, and
no single C call in it holds the GIL for longer, whatever the body is.  Any bytes give parts and problems; nothing is
raised.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import ErrorCode
from shared.extract import base64_text, codings, multipart
from shared.extract.budget import Extraction, Findings, Limits, Problem, Steps
from shared.extract.fields import boundary_of, field_name, file_name, parse_value
from shared.extract.sniff import SNIFF_BYTES, is_encrypted_zip, sniff, sniff_container
from shared.types import HttpMessage

__all__ = ["Extraction", "Limits", "Problem", "Steps", "extract", "extract_steps"]

DEFAULT_LIMITS = Limits()
_KNOWN_TRANSFER_ENCODINGS = frozenset({"", "7bit", "8bit", "binary", "quoted-printable", "base64"})


def extract(message: HttpMessage, limits: Limits = DEFAULT_LIMITS) -> Extraction:
    """Return the images of ``message``, without pausing."""
    steps = extract_steps(message, limits)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: Extraction = done.value
            return result


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
        # else the coding was named but never applied, a mistake that some clients forgive: look at the body as it is
    headers = {name: head.header(name) for name in ("content-type", "content-disposition")}
    yield from _Walk(findings, body, is_cut=is_cut).visit(0, len(body), headers, "", 0)
    return findings.result()


class _Walk:
    """Goes through one buffer, from the body down into nested multiparts."""

    def __init__(self, findings: Findings, data: bytes, *, is_cut: bool = False) -> None:
        self._findings = findings
        self._data = data
        self._is_cut = is_cut

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
        if container:
            code = ErrorCode.ENCRYPTED if is_encrypted_zip(head) else ErrorCode.OPAQUE
            self._findings.report(code, place, end - start, f"{container} is not opened")
            return
        declared = parse_value(headers.get("content-type", ""))
        boundary = boundary_of(declared) or multipart.guess_boundary(self._data, start, end)
        if boundary:
            yield from self._multipart((start, end), boundary, locator, depth)
        else:
            yield from base64_text.scan(self._data, start, end, self._findings, locator)

    def _image(self, span: tuple[int, int], media_type: str, headers: Mapping[str, str], place: str) -> Steps[None]:
        if self._is_cut and span == (0, len(self._data)):
            return  # the rest is over budget, and has been reported
        if not self._findings.has_room(place, span[1] - span[0]):
            return
        name = file_name(parse_value(headers.get("content-disposition", "")))
        yield from self._findings.add_span(self._data, *span, media_type=media_type, locator=place, name=name)

    def _multipart(self, span: tuple[int, int], boundary: bytes, locator: str, depth: int) -> Steps[None]:
        findings, (start, end) = self._findings, span
        if depth == findings.limits.max_multipart_depth:
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
            yield from base64_text.scan(self._data, start, end, findings, locator)

    def _part(self, part: multipart.BodyPart, place: str, depth: int) -> Steps[None]:
        disposition = parse_value(part.headers.get("content-disposition", ""))
        field = field_name(disposition)
        locator = f"{place}{field}/" if field else place
        size = part.end - part.start
        if part.oversized_head:
            message = f"a head of more than {self._findings.limits.max_header_bytes} bytes"
            self._findings.report(ErrorCode.OVER_BUDGET, locator.rstrip("/"), size, message)
        encoding = part.headers.get("content-transfer-encoding", "").strip().lower()
        if encoding not in _KNOWN_TRANSFER_ENCODINGS:
            message = f"unknown content-transfer-encoding {encoding[:40]}"
            self._findings.report(ErrorCode.OPAQUE, locator.rstrip("/"), size, message)
        if encoding == "base64":
            yield from self._base64_part(part, locator, depth)
        else:
            yield from self.visit(part.start, part.end, part.headers, locator, depth + 1)

    def _base64_part(self, part: multipart.BodyPart, locator: str, depth: int) -> Steps[None]:
        head = self._data[part.start : min(part.start + SNIFF_BYTES, part.end)]
        if sniff(head):  # said to be base64 and is not: browsers and form parsers ignore the field
            yield from self.visit(part.start, part.end, part.headers, locator, depth + 1)
            return
        data = yield from base64_text.decode_span(self._data, part.start, part.end, self._findings, locator)
        yield from _Walk(self._findings, data).visit(0, len(data), part.headers, locator, depth + 1)
