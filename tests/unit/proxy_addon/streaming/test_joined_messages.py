"""Messages judged with those before them, by a judge that knows what is protected and what is whole."""

from __future__ import annotations

import base64

from proxy_addon.enforcement import Case
from proxy_addon.responses.reply import Reply
from proxy_addon.responses.rewriting import Framing
from proxy_addon.streaming.joined_messages import JoinedMessages
from shared.core.policy import OnUninspected, Policy
from shared.extract import split_pictures
from shared.extract.split_pictures import Joined, SplitPictures
from shared.types import Action, Direction, HttpMessage, Mode, UninspectedReason
from tests.factories import make_context, make_head, make_policy
from tests.proxies import MARK, DecodingJudge, Setup
from tests.websocket_ends import png

PROTECTED = png(MARK)
TEXT = base64.b64encode(PROTECTED)


def message(body: bytes) -> HttpMessage:
    return HttpMessage(head=make_head(), body=body, direction=Direction.OUTBOUND)


class Connection:
    """Messages of one connection, joined and judged."""

    def __init__(self, policy: Policy, limit: int = 1 << 20) -> None:
        self.setup = Setup(policies=[policy], judge=DecodingJudge())
        self.split = SplitPictures(limit)
        self.case = Case(request=make_head(), context=make_context(), policies=(policy,))
        self.joined = JoinedMessages(self.setup.transfers(), self.setup.metrics)

    async def send(self, data: bytes, *, is_text: bool = True) -> tuple[Joined, bool]:
        """Return how a message was joined, and whether it was blocked."""
        joined = await self.joined.join(self.split, self.case, data, is_text=is_text)
        instead = await self.joined.hold(self.case, joined, joined.now, message, Framing.FREE)
        return joined, isinstance(instead, Reply)


async def test_the_message_that_completes_a_picture_is_blocked() -> None:
    connection = Connection(make_policy())
    sent = [await connection.send(b"d: " + TEXT[at : at + 4000]) for at in range(0, len(TEXT), 4000)]
    assert [blocked for _, blocked in sent] == [False] * (len(sent) - 1) + [True]
    assert sent[-1][0].whole == [PROTECTED]
    (alert,) = connection.setup.recorder.alerts
    assert alert.enforced is Action.BLOCK
    assert connection.case.uninspected == [], "what the beginning lacks is no failure"


async def test_what_is_whole_beside_a_beginning_is_judged_and_recorded() -> None:
    for mode in Mode:
        connection = Connection(make_policy(mode=mode))
        _, blocked = await connection.send(b'{"a":"%b","b":"%b"}' % (TEXT, base64.b64encode(png(b"other")[:900])))
        assert blocked is (mode is Mode.ENFORCE)
        assert [alert.finding.kind for alert in connection.setup.recorder.alerts].count("match") == 1


async def test_where_what_cannot_be_decoded_is_blocked_nothing_is_joined() -> None:
    strict = make_policy(on_uninspected=OnUninspected(by_reason={UninspectedReason.UNDECODABLE: Action.BLOCK}))
    joined, blocked = await Connection(strict).send(b"d: " + TEXT[:4000])
    assert (joined.early, blocked) == (False, True)


async def test_a_picture_that_is_too_large_is_decided_and_counted() -> None:
    for action in (Action.ALLOW, Action.BLOCK):
        policy = make_policy(on_uninspected=OnUninspected(by_reason={UninspectedReason.TOO_LARGE: action}))
        connection = Connection(policy, limit=5000)
        await connection.send(b"d: " + TEXT[:4000])
        joined, blocked = await connection.send(b"d: " + TEXT[4000:8000])
        assert joined.too_large
        assert blocked is (action is Action.BLOCK)
        metrics = connection.setup.metrics
        assert metrics.value("safelight_proxy_limit_hits_total", limit=split_pictures.TOO_LARGE) == 1
        assert connection.case.uninspected == [UninspectedReason.TOO_LARGE]
