"""Bodies of recorded traffic and real mails: each gives images and named problems, and what is declared is found."""

import base64
import binascii
import email
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from mitmproxy.exceptions import FlowReadException
from mitmproxy.http import HTTPFlow, Message
from mitmproxy.io import FlowReader

from shared.extract.pipeline import Extraction, extract
from shared.extract.sniff import SNIFF_BYTES, sniff
from shared.types import Direction, HttpMessage
from tests.factories import make_head

pytestmark = pytest.mark.corpus

CAPTURES: Final = "captures/captures.tar"
DOCUMENTS: Final = "documents/documents.tar"
RASTER: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")

type Body = tuple[bytes, str, str]
"""Bytes, Content-Type, Content-Encoding."""


def files(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            if (stream := tar.extractfile(member) if member.isfile() else None) is not None:
                yield member.name, stream.read()


def inside(body: Body) -> Extraction:
    data, media_type, coding = body
    headers = (("content-type", media_type), ("content-encoding", coding))
    return extract(HttpMessage(head=make_head(headers=headers), body=data, direction=Direction.OUTBOUND))


def of_har(data: bytes) -> Iterator[Body]:
    try:
        entries: list[dict[str, Any]] = json.loads(data.decode("utf-8-sig"))["log"]["entries"]
    except (ValueError, KeyError, TypeError):
        return  # a recording that is broken on purpose, or another kind of JSON
    for entry in entries:
        posted = entry.get("request", {}).get("postData") or {}
        content = entry.get("response", {}).get("content") or {}
        if posted.get("text"):
            yield posted["text"].encode(), posted.get("mimeType") or "", ""
        if text := content.get("text"):
            try:
                raw = base64.b64decode(text) if content.get("encoding") == "base64" else text.encode()
            except binascii.Error:
                continue  # cut by who recorded it
            yield raw, content.get("mimeType") or "", ""


def of_flows(data: bytes) -> Iterator[Body]:
    try:
        for flow in FlowReader(io.BytesIO(data)).stream():
            if isinstance(flow, HTTPFlow):
                messages: list[Message | None] = [flow.request, flow.response]
                for message in filter(None, messages):
                    fields = message.headers
                    yield message.raw_content or b"", fields.get("content-type", ""), fields.get("content-encoding", "")
                for each in flow.websocket.messages if flow.websocket else ():
                    content: bytes | str = each.content  # old recordings hold text as such
                    yield content.encode() if isinstance(content, str) else content, "", ""
    except (FlowReadException, TypeError):
        return  # written by a mitmproxy that is too old or too new


def bodies(corpus: Path) -> Iterator[tuple[str, Body]]:
    for name, data in files(corpus / CAPTURES):
        yield name, (data, "", "")
        of = of_har if name.endswith((".har", ".json")) else of_flows if name.endswith(".mitm") else None
        for body in of(data) if of else ():
            yield name, body


def test_declared_pictures_of_recorded_traffic_are_found(corpus: Path) -> None:
    seen = found = 0
    missed = []
    for name, body in bodies(corpus):
        result = inside(body)
        seen, found = seen + 1, found + len(result.parts)
        if (
            body[1].startswith(RASTER)
            and not body[2]
            and sniff(body[0])
            and body[0] not in [p.data for p in result.parts]
        ):
            missed.append(name)
    assert missed == []
    assert seen > 400
    assert found > 150


def read_by_python(data: bytes) -> set[bytes]:
    parts = [part for part in email.message_from_bytes(data).walk() if not part.is_multipart()]
    contents = [part.get_payload(decode=True) for part in parts]
    return {content for content in contents if isinstance(content, bytes) and sniff(content[:SNIFF_BYTES])}


def test_pictures_of_mails_are_found(corpus: Path) -> None:
    mails = {name: data for name, data in files(corpus / DOCUMENTS) if name.endswith(".eml")}
    ours = {name: {part.data for part in inside((data, "message/rfc822", "")).parts} for name, data in mails.items()}
    missed = [name for name, data in mails.items() if not read_by_python(data) <= ours[name]]
    assert missed == []
    assert sum(map(len, ours.values())) > 20
