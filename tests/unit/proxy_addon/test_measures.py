"""Whatever breaks on the way to a milder measure leaves the stricter one."""

from __future__ import annotations

import pytest

from proxy_addon.enforcement import Case
from proxy_addon.measures import not_redacted
from proxy_addon.responses.reply import Reply
from proxy_addon.responses.rewriting import Framing, Rewritten
from proxy_addon.ruling import come
from shared.errors import RedactionRefusal
from shared.types import Action, Decision, Direction, HttpMessage, Part, RedactionOrder, Versioned
from tests.factories import make_context, make_finding, make_head, make_policy
from tests.memory_store import MemoryStore
from tests.proxies import Setup, make_image

REDACT = make_policy(action=Action.REDACT)
COACH = make_policy(action=Action.COACH)


class BrokenObscurer:
    async def redact(self, part: Part, order: RedactionOrder, deadline: float) -> bytes:
        raise RuntimeError("a bug")


class BrokenStore(MemoryStore):
    async def get(self, key: str) -> Versioned | None:
        raise RuntimeError("a bug")


def message() -> HttpMessage:
    return HttpMessage(head=make_head(), body=make_image(protected=True), direction=Direction.OUTBOUND)


async def upload(setup: Setup) -> Reply | Rewritten | None:
    transfers = setup.transfers()
    ruling = await come(transfers.request_head(lambda: (make_head(), make_context().actor)))
    assert ruling.case is not None
    return await transfers.body(ruling.case, message)


@pytest.mark.error_logs("stage redact failed")
async def test_a_redaction_that_breaks_is_a_block() -> None:
    setup = Setup(policies=[REDACT], obscurer=BrokenObscurer())
    reply = await upload(setup)
    assert isinstance(reply, Reply)
    assert dict(reply.headers)["X-Safelight"].startswith("block; ")
    (alert,) = setup.recorder.alerts
    assert (alert.enforced, alert.finding.note) == (Action.BLOCK, "not redacted: failed")


@pytest.mark.error_logs("stage coach failed")
async def test_a_pass_that_cannot_be_looked_for_is_none() -> None:
    setup = Setup(policies=[COACH], passes=BrokenStore())
    reply = await upload(setup)
    assert isinstance(reply, Reply)
    assert dict(reply.headers)["X-Safelight"].startswith("coach; ")


async def test_what_is_settled_without_its_body_is_not_redacted() -> None:
    setup = Setup(policies=[REDACT])
    case = Case(request=make_head(), context=make_context(), policies=(REDACT,))
    reply = await setup.transfers().message(case, message, Framing.FIXED)
    assert isinstance(reply, Reply)
    assert setup.recorder.alerts[0].finding.note == "not redacted: not_possible_here"


def test_the_note_joins_what_was_noted_before() -> None:
    decision = Decision(action=Action.REDACT, policy="p", findings=(make_finding(note="first"), make_finding()))
    blocked = not_redacted(decision, RedactionRefusal.SIGNED_BODY)
    assert blocked.action is Action.BLOCK
    assert [finding.note for finding in blocked.findings] == ["first; not redacted: signed_body", ""]
