"""What the replies to an upload's requests say, before they reach the client: where its bytes go, and that it ended.

The client sends the next request as soon as it has the reply, maybe through another proxy: by then the store must know.
Stands after the addon that inspects.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from mitmproxy.http import HTTPFlow

from proxy_addon import flows
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.uploads.inspection import Uploads
from proxy_addon.uploads.note import Note
from shared.types import Direction, HttpMessage

MAX_REPLY: Final = 1 << 20
"""Bytes of a reply that is held to be read; where a longer one is announced nothing is learnt from its body."""
_KEY: Final = "safelight_upload"


def remember(flow: HTTPFlow, note: object) -> None:
    """Let the reply to this flow's request be read as one to a step of an upload, where ``note`` says that it is."""
    if isinstance(note, Note):
        flow.metadata[_KEY] = note


class UploadReplies:
    """The addon."""

    def __init__(self, uploads: Uploads, failsafe: Failsafe) -> None:
        self._uploads = uploads
        self._failsafe = failsafe

    def responseheaders(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Read what the head says, or hold the reply until its body can be read."""
        note = flow.metadata.get(_KEY)
        if not isinstance(note, Note) or flow.response is None:
            return None
        if note.reads_body and _length(flow) <= MAX_REPLY and flow.response.stream is True:
            flow.response.stream = False
        return self._read(flow, note) if not note.reads_body or flow.response.stream else None

    def response(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Read a reply that was held."""
        note = flow.metadata.get(_KEY)
        return self._read(flow, note) if isinstance(note, Note) and flow.response is not None else None

    async def _read(self, flow: HTTPFlow, note: Note) -> None:
        del flow.metadata[_KEY]

        async def read() -> None:
            head = flows.response_head(flow)
            body = flow.response.raw_content if flow.response else b""
            reply = HttpMessage(head=head, body=body or b"", direction=Direction.INBOUND)
            await self._uploads.replied(note, reply)

        await self._failsafe.guard("upload", read, lambda: None)


def _length(flow: HTTPFlow) -> int:
    text = flow.response.headers.get("content-length", "") if flow.response else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
