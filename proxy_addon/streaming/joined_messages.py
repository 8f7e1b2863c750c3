"""Judges a message of a connection that stays open together with the pictures of which it is a piece."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from proxy_addon.enforcement import Case
from proxy_addon.responses.reply import Reply
from proxy_addon.responses.rewriting import Framing, Rewritten
from proxy_addon.runtime.stepping import run_steps
from proxy_addon.transfer import Transfers
from shared.core.policy import decide_uninspected
from shared.extract.split_pictures import Joined, SplitPictures
from shared.telemetry import Metrics
from shared.types import Action, HttpMessage, UninspectedReason

SHORT: Final = 64 << 10
"""Bytes of a message that are gone through without a turn for other flows: under 1 ms."""

_UNFINISHED: Final = "a picture sent in several messages was never completed"
_TOO_LARGE: Final = "a picture in several messages is too large to be held"


class JoinedMessages:
    """What is the same for web sockets and streams."""

    def __init__(self, transfers: Transfers, metrics: Metrics) -> None:
        self._transfers = transfers
        self._metrics = metrics

    async def join(self, split: SplitPictures | None, case: Case, data: bytes, *, is_text: bool) -> Joined:
        """Put a message together with those before it.

        Where a policy blocks what cannot be decoded, nothing is waited for, and a picture's beginning is blocked.
        """
        unread = decide_uninspected(case.policies, UninspectedReason.UNDECODABLE, _UNFINISHED)
        if split is None or unread.action is not Action.ALLOW:
            return Joined(now=data)
        joined = await run_steps(split.add(data, is_text=is_text, now=self._transfers.now()), turns=len(data) > SHORT)
        for limit in joined.limits:
            self._metrics.count("safelight_proxy_limit_hits_total", limit=limit)
        return joined

    async def hold(
        self, case: Case, joined: Joined, now: bytes, make: Callable[[bytes], HttpMessage], framing: Framing
    ) -> Reply | Rewritten | None:
        """Judge ``now`` and what it completes; ``make`` makes a message of bytes."""
        if joined.too_large:
            reply = await self._transfers.uninspected(case, UninspectedReason.TOO_LARGE, _TOO_LARGE)
            if reply is not None:
                return reply
        instead: Reply | Rewritten | None
        if joined.early:
            instead = await self.early(case, make(now))
        else:
            instead = await self._transfers.message(case, lambda: make(now), framing)
        for picture in joined.whole:
            if not isinstance(instead, Reply):
                whole = make(picture)
                instead = await self._transfers.message(case, lambda whole=whole: whole, Framing.FIXED) or instead  # type: ignore[misc]
        return instead

    async def early(self, case: Case, message: HttpMessage) -> Reply | None:
        """Judge a message that holds the beginning of a picture.

        What the beginning lacks is no failure: it is booked as what it will be judged with.
        """
        return await self._transfers.early(replace(case, uninspected=[]), lambda: message)
