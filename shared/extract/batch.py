"""Several requests in one body, taken apart: multipart/mixed of application/http and JSON batches.

Google's batches are multipart/mixed whose parts are whole requests (developers.google.com/workspace/drive/api/guides/
performance); OData 4 has the same with change sets nested once more (OData 4.01 part 1, section 11.7.7), as SharePoint;
Graph's are JSON, ``{"requests": [{"method", "url", "headers", "body"}]}`` (learn.microsoft.com/graph/json-batching).
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from shared.errors import ErrorCode, ExtractionError
from shared.extract import codings, multipart
from shared.extract.budget import Limits, Steps
from shared.extract.fields import boundary_of, parse_block, parse_value
from shared.types import HttpHead

MAX_REQUESTS: Final = 1000
"""Requests of one batch; OneDrive takes 20, Drive 100, SharePoint 1,000."""

MAX_BODY: Final = 512 << 10
"""Bytes of a batch that are read: 5 ms of JSON.  A batch with pictures in it may be larger, and then stays unread."""

_NESTING: Final = 2
_JSON_BATCH: Final = "/$batch"
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_TOO_MANY: Final = f"more than {MAX_REQUESTS} requests in a batch"
_LIMITS: Final = Limits(max_inflated_bytes=MAX_BODY, max_multipart_parts=MAX_REQUESTS)


def is_batch(head: HttpHead) -> bool:
    """Tell from its head whether a request may hold others."""
    if head.method != "POST":
        return False
    path = head.path.lower().rstrip("/")
    declared = parse_value(head.header("content-type")).main
    return path.endswith(_JSON_BATCH) or (declared == "multipart/mixed" and "batch" in path)


def split_batch(head: HttpHead, body: bytes) -> Steps[tuple[tuple[HttpHead, bytes], ...]]:
    """Return the requests inside, as if each had been sent by itself.  Raises ExtractionError."""
    if len(body) > MAX_BODY:
        raise ExtractionError(ErrorCode.OVER_BUDGET, f"a batch of more than {MAX_BODY} bytes")
    applied = codings.codings_of([value for name, value in head.headers if name == "content-encoding"])
    if applied and body:
        inflated = yield from codings.undo(body, applied, _LIMITS)
        if inflated.error is not None:
            raise inflated.error
        body = inflated.body
    boundary = boundary_of(parse_value(head.header("content-type")))
    if boundary is not None:
        return tuple((yield from _mixed(head, body, 0, len(body), boundary, _NESTING)))
    return _json_batch(head, body)


def _mixed(
    head: HttpHead, body: bytes, start: int, end: int, boundary: bytes, depth: int
) -> Steps[list[tuple[HttpHead, bytes]]]:
    found = yield from multipart.split(body, start, end, boundary, _LIMITS)
    if found.problem is not None:
        raise ExtractionError(*found.problem)
    requests: list[tuple[HttpHead, bytes]] = []
    for part in found.parts:
        inner = boundary_of(parse_value(part.headers.get("content-type", "")))
        if inner is not None and depth > 1:
            requests += yield from _mixed(head, body, part.start, part.end, inner, depth - 1)
        else:
            requests.append(_request(head, body[part.start : part.end]))
        if len(requests) > MAX_REQUESTS:
            raise ExtractionError(ErrorCode.OVER_BUDGET, _TOO_MANY)
        yield
    return requests


def _request(head: HttpHead, text: bytes) -> tuple[HttpHead, bytes]:
    end = _HEAD_END.search(text)
    line, _, fields = text[: end.start() if end else len(text)].lstrip().partition(b"\n")
    words = line.decode("utf-8", "backslashreplace").split()
    if len(words) < 2:
        raise ExtractionError(ErrorCode.CORRUPT, "a part of a batch is no request")
    return _inner(head, words[0], words[1], tuple(parse_block(fields).items())), text[end.end() :] if end else b""


def _json_batch(head: HttpHead, body: bytes) -> tuple[tuple[HttpHead, bytes], ...]:
    try:
        requests = json.loads(body)["requests"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ExtractionError(ErrorCode.CORRUPT, f"no batch of requests: {str(error)[:100]}") from error
    if not isinstance(requests, list) or not all(isinstance(each, dict) for each in requests):
        raise ExtractionError(ErrorCode.CORRUPT, "no batch of requests: not a list of objects")
    if len(requests) > MAX_REQUESTS:
        raise ExtractionError(ErrorCode.OVER_BUDGET, _TOO_MANY)
    return tuple(_json_request(head, each) for each in requests)


def _json_request(head: HttpHead, request: dict[str, object]) -> tuple[HttpHead, bytes]:
    method, url, fields, body = (request.get(key) for key in ("method", "url", "headers", "body"))
    if not isinstance(method, str) or not isinstance(url, str):
        raise ExtractionError(ErrorCode.CORRUPT, "a request of a batch without method or address")
    # Graph's addresses are relative to the version that stands before /$batch.
    target = url if "://" in url else f"{head.path.rstrip('/')[: -len(_JSON_BATCH)]}/{url.lstrip('/')}"
    headers = tuple((name.lower(), str(value)) for name, value in fields.items()) if isinstance(fields, dict) else ()
    return _inner(head, method, target, headers), b"" if body is None else json.dumps(body).encode()


def _inner(head: HttpHead, method: str, target: str, headers: tuple[tuple[str, str], ...]) -> HttpHead:
    # Whatever host it names: the one that got the batch carries it out.
    try:
        url = urlsplit(target)
    except ValueError as error:
        raise ExtractionError(ErrorCode.CORRUPT, f"a batch names no address: {error}") from error
    return replace(head, method=method.upper(), path=url.path, query=url.query, headers=headers)
