"""mitmproxy's hooks of the page where a reason is given: no request for it ever reaches an origin."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from mitmproxy.http import HTTPFlow

from proxy_addon import flows
from proxy_addon.coaching.page import coach_page, is_coach_page, refused_head
from proxy_addon.coaching.passes import Coaching
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.responses.pages import COACH_PATH
from proxy_addon.responses.reply import Reply

_PATH: Final = COACH_PATH.encode()
_BROKEN = Reply(status=500, headers=(("Content-Length", "0"), ("Cache-Control", "no-store")), body=b"")


class CoachPage:
    """Stands before the addon that inspects, which leaves alone what is claimed here."""

    def __init__(self, coaching: Coaching, failsafe: Failsafe) -> None:
        self._coaching = coaching
        self._failsafe = failsafe

    def requestheaders(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Claim a request for the page, and refuse a body that is no form."""
        if _PATH not in flow.request.data.path or flow.error is not None or flow.response is not None:
            return None
        return self._claim(flow)

    async def _claim(self, flow: HTTPFlow) -> None:
        if not await self._is_ours(flow):
            return
        flows.claim(flow)
        head = flows.request_head(flow)
        refused = refused_head(head)
        if refused is not None:
            flows.answer(flow, refused)

    def request(self, flow: HTTPFlow) -> Awaitable[None] | None:
        """Answer."""
        if not flows.is_claimed(flow) or flow.response is not None or flow.error is not None:
            return None
        return self._answer(flow)

    async def _answer(self, flow: HTTPFlow) -> None:
        head, body = flows.request_head(flow), flow.request.raw_content or b""

        async def answer() -> Reply:
            return await coach_page(self._coaching, head, body, flows.actor(flow))

        flows.answer(flow, await self._failsafe.guard("coach", answer, lambda: _BROKEN))

    async def _is_ours(self, flow: HTTPFlow) -> bool:
        async def look() -> bool:
            return is_coach_page(flows.request_head(flow))

        return await self._failsafe.guard("coach", look, lambda: False)
