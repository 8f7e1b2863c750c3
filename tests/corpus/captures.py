"""Bodies of recorded traffic: HAR files and the recordings of mitmproxy."""

from __future__ import annotations

import base64
import binascii
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mitmproxy.exceptions import FlowReadException
from mitmproxy.http import HTTPFlow, Message
from mitmproxy.io import FlowReader

CAPTURES: Final = "captures/captures.tar"

type Body = tuple[bytes, str, str]
"""Bytes, Content-Type, Content-Encoding."""


def files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if (stream := tar.extractfile(member) if member.isfile() else None) is not None:
                yield member.name, stream.read()


def _of_har(data: bytes) -> Iterator[Body]:
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


def _of_flows(data: bytes) -> Iterator[Body]:
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
    """Yield each body, and each recording itself, with the name of its file."""
    for name, data in files(corpus / CAPTURES):
        yield name, (data, "", "")
        of = _of_har if name.endswith((".har", ".json")) else _of_flows if name.endswith(".mitm") else None
        for body in of(data) if of else ():
            yield name, body
