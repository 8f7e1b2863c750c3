from __future__ import annotations

from collections.abc import Awaitable

import pytest
from mitmproxy.test.tflow import tflow
from mitmproxy.test.tutils import tresp

from proxy_addon.uploads import replies
from proxy_addon.uploads.note import Note
from proxy_addon.uploads.replies import MAX_REPLY, UploadReplies
from shared.core.selectors import parse_selector
from shared.types import Role, Selection, StepKind
from tests.proxies import Setup


def make_note(selector: str) -> Note:
    select = {Role.LEARN: (parse_selector(selector, Role.LEARN),)}
    return Note(selection=Selection(app="a", step=StepKind.START, select=select))


async def over(waiting: Awaitable[None] | None) -> None:
    if waiting is not None:
        await waiting


@pytest.mark.parametrize(
    ("selector", "length", "held"),
    [
        ("reply.json:$.id", "20", True),
        ("reply.json:$.id", "", True),
        ("reply.json:$.id", str(MAX_REPLY + 1), False),
        ("reply.header:location", "20", False),
    ],
)
async def test_a_reply_is_held_only_to_read_its_body(selector: str, length: str, held: bool) -> None:
    setup = Setup()
    addon = UploadReplies(setup.parts.uploads, setup.failsafe())
    flow = tflow(resp=tresp(headers=((b"content-length", length.encode()),)))
    assert flow.response is not None
    flow.response.stream = True
    replies.remember(flow, make_note(selector))
    await over(addon.responseheaders(flow))
    assert flow.response.stream is not held
    await over(addon.response(flow))


async def test_other_flows_are_left_alone() -> None:
    setup = Setup()
    addon = UploadReplies(setup.parts.uploads, setup.failsafe())
    flow = tflow(resp=True)
    replies.remember(flow, None)
    before = flow.get_state()
    await over(addon.responseheaders(flow))
    await over(addon.response(flow))
    assert flow.get_state() == before
