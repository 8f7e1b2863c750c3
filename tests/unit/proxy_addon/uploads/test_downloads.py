"""Downloads in ranges, without a proxy around them: what each response decides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy_addon.responses.reply import Reply
from proxy_addon.responses.rewriting import Rewritten
from proxy_addon.ruling import come
from proxy_addon.uploads import downloads
from shared.core.policy import OnUninspected
from shared.types import Action, Decision, Direction, Headers, HttpMessage, UninspectedReason
from tests.factories import make_actor, make_head, make_policy
from tests.memory_store import MemoryStore
from tests.proxies import Setup, make_image

SECRET, PUBLIC = make_image(3000, protected=True), make_image(3000)
BLOCKS = make_policy(on_uninspected=OnUninspected(default=Action.BLOCK))
ALLOWS = make_policy()
TAG = '"v1"'


class Client:
    """Gets responses past the proxy's decisions."""

    def __init__(self, **setup: Any) -> None:
        self.setup = Setup(**{"policies": [ALLOWS], **setup})

    async def get(
        self, body: bytes, span: tuple[int, int] | None = None, *, query: str = "", tag: str = TAG, kind: str = ""
    ) -> Reply | None:
        """Return the answer in the origin's place for a whole object or ``body[span[0]:span[1]]`` of it."""
        transfers = self.setup.transfers()
        request = make_head(method="GET", query=query, headers=())
        headers: Headers = (("content-type", kind or "image/png"), *((("etag", tag),) if tag else ()))
        if span is not None:
            headers += (("content-range", f"bytes {span[0]}-{span[1] - 1}/{len(body)}"),)
        response = make_head(method="GET", query=query, status=206 if span else 200, headers=headers)
        ruling = await come(transfers.response_head(lambda: (request, make_actor()), lambda: response))
        assert ruling.case is not None
        sent = body[slice(*span)] if span else body
        message = HttpMessage(head=response, body=sent, direction=Direction.INBOUND, request=request)
        answer = await transfers.body(ruling.case, lambda: message, ruling.upload)
        assert not isinstance(answer, Rewritten)
        return answer


@pytest.mark.parametrize(
    "again",
    [{}, {"query": "X-Amz-Signature=new"}, {"query": "other=1"}, {"tag": ""}],
    ids=["same", "signed anew", "same tag elsewhere", "no tag"],
)
async def test_what_was_blocked_is_not_handed_out_in_ranges(again: dict[str, str]) -> None:
    client = Client()
    blocked = await client.get(SECRET)
    resumed = await client.get(SECRET, (1500, 3000), **again)
    assert blocked is not None
    assert resumed is not None
    assert resumed.incident == blocked.incident
    assert len(client.setup.recorder.alerts) == 1


async def test_another_proxy_knows_what_was_blocked() -> None:
    store = MemoryStore()
    assert await Client(store=store).get(SECRET) is not None
    assert await Client(store=store).get(SECRET, (1500, 3000)) is not None


async def test_a_policy_that_is_gone_blocks_nothing() -> None:
    client = Client()
    await client.get(SECRET)
    client.setup.policies = [make_policy(name="another")]
    assert await client.get(SECRET, (1500, 3000)) is None


@pytest.mark.parametrize(
    "spans", [[(0, 20), (20, len(SECRET))], [(20, len(SECRET)), (0, 20)], [(0, 20), (10, 2000), (1000, len(SECRET))]]
)
async def test_ranges_that_cover_an_image_are_judged_as_it(spans: list[tuple[int, int]]) -> None:
    client = Client()
    answers = [await client.get(SECRET, span) for span in spans]
    assert [answer is None for answer in answers] == [*[True] * (len(spans) - 1), False]
    kinds = [alert.finding.kind for alert in client.setup.recorder.alerts]
    assert kinds == ["uninspected", "match"]


async def test_part_of_what_nobody_judged_is_a_matter_of_policy() -> None:
    client = Client(policies=[BLOCKS])
    answer = await client.get(PUBLIC, (20, 1000))
    assert answer is not None
    assert json.loads(answer.body)["reason"] == UninspectedReason.UNKNOWN_OBJECT
    assert await client.get(b"#" * 3000, (20, 1000), kind="text/plain; charset=utf-8") is None


async def test_what_passed_whole_is_resumed() -> None:
    client = Client(policies=[BLOCKS])
    assert await client.get(PUBLIC) is None
    assert await client.get(PUBLIC, (1500, 3000)) is None
    assert await client.get(PUBLIC, (1500, 3000), tag='"v2"') is not None


async def test_what_is_remembered_as_passed_is_bounded() -> None:
    client = Client(policies=[BLOCKS])
    for at in range(downloads.MAX_PASSED + 1):
        note = client.setup.parts.uploads.range_note(
            make_head(method="GET", query=f"id={at}"), make_head(method="GET", status=200)
        )
        assert note is not None
        await client.setup.parts.uploads.settled(note, Decision(action=Action.ALLOW), "")
    assert await client.get(PUBLIC, (1500, 3000), query="id=0", tag="") is not None
    assert await client.get(PUBLIC, (1500, 3000), query="id=1", tag="") is None


async def test_objects_that_are_too_large_are_not_kept() -> None:
    store = MemoryStore()
    client = Client(policies=[BLOCKS], store=store, max_object=2000)
    answer = await client.get(PUBLIC, (0, 1000))
    assert answer is not None
    assert json.loads(answer.body)["reason"] == UninspectedReason.TOO_LARGE
    assert store.blobs == {}


async def test_a_part_that_holds_an_image_whole_needs_no_other() -> None:
    assert await Client().get(SECRET + b"more", (0, 3000)) is not None
