"""A mitmproxy addon beside ``addon``: reads the replies that tell an object's id, as they go by.

It stands after the addon that decides, so a reply that is streamed is already marked as such: it goes on being
streamed, through a tap.  The reply is not changed, whatever it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Literal

from mitmproxy.http import HTTPFlow, Response

from proxy_addon import flows
from proxy_addon.activities.object_learning import MAX_REPLY, ObjectLearning
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.runtime.background import BodyCopy

Stream = Callable[[bytes], Iterable[bytes] | bytes]
"""What mitmproxy sends a streamed body through."""

_KEY: Final = "safelight-reply"


class ReplyTap:
    """Gives replies to ``learning``."""

    def __init__(self, learning: ObjectLearning, failsafe: Failsafe) -> None:
        self._learning = learning
        self._failsafe = failsafe

    def responseheaders(self, flow: HTTPFlow) -> None:
        """Tap a reply that is streamed."""
        if flow.response is None or not self._learning.awaits_reply(flow.id) or not flow.response.stream:
            return
        copy = flow.metadata[_KEY] = BodyCopy(MAX_REPLY)
        flow.response.stream = _through(flow.response.stream, copy)

    def response(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Learn from a reply that has gone by."""
        if flow.response is None or not self._learning.awaits_reply(flow.id):
            return None
        return self._learn(flow, flow.response)

    async def _learn(self, flow: HTTPFlow, response: Response) -> None:
        copy = flow.metadata.pop(_KEY, None)
        body = copy.body() if isinstance(copy, BodyCopy) else response.raw_content or b""

        async def learn() -> None:
            await self._learning.answered(flows.response_message(flow, body[:MAX_REPLY]))

        await self._failsafe.guard("objects", learn, lambda: None)

    def error(self, flow: HTTPFlow) -> None:
        """Forget an exchange that broke off."""
        self._learning.forget(flow.id)


def _through(stream: Stream | Literal[True], copy: BodyCopy) -> Stream:
    def tapped(chunk: bytes) -> Iterable[bytes] | bytes:
        copy.feed(chunk)
        return stream(chunk) if callable(stream) else chunk

    return tapped
