"""Uploads that take forms of their own, without a proxy around them: what each request decides."""

from __future__ import annotations

import json
from typing import Any

from proxy_addon.responses.reply import Reply
from proxy_addon.responses.rewriting import Rewritten
from proxy_addon.ruling import come
from proxy_addon.uploads.note import Note
from shared.core.activity import Catalogue
from shared.core.policy import OnUninspected
from shared.types import Action, Direction, Headers, HttpMessage
from tests.factories import make_actor, make_head, make_policy
from tests.proxies import Setup, make_image

SECRET = make_image(3000, protected=True)
PIECES = (SECRET[:20], SECRET[20:1000], SECRET[1000:])
POLICY = make_policy(on_uninspected=OnUninspected(default=Action.BLOCK))
APP = """
[app]
name = "drop"
hosts = ["drop.example"]
written = 2026-11-21
source = "https://drop.example/docs"

[[rule]]
activity = "upload"
path = '^/start$'
step = "start"
select = { learn = ["reply.json:$.upload_url", "reply.json:$.id"] }

[[rule]]
activity = "upload"
path = '^/batch$'
step = "part"
[rule.select]
session = "header-json:arg:$.entries[*].id"
offset = "header-json:arg:$.entries[*].offset"
length = "header-json:arg:$.entries[*].length"

[[rule]]
activity = "upload"
path = '^/parts/(?P<id>\\w+)$'
step = "part"
select = { session = "path:id", number = "reply.json:$.part" }

[[rule]]
activity = "upload"
path = '^/put$'
hosts = ["store.example"]
step = "part"
select = { session = "url" }

[[rule]]
activity = "share"
path = '^/finish$'
step = "commit"
select = { session = "json:$.entries[*].id", order = "json:$.order[*]" }

[[rule]]
activity = "upload"
path = '^/cancel$'
step = "cancel"
select = { session = "json:$.id" }
"""


class Client:
    """Sends requests past the proxy's decisions; an origin answers what it is told to."""

    def __init__(self, **setup: Any) -> None:
        rules = Catalogue.from_toml({"drop.toml": APP})
        self.setup = Setup(**{"policies": [POLICY], "classifier": rules, **setup})

    async def send(
        self, path: str, body: bytes = b"", reply: Any = None, *, status: int = 200, headers: Headers = (), **head: Any
    ) -> Reply | None:
        """Return the answer in the origin's place; ``reply`` is the origin's."""
        transfers, uploads = self.setup.transfers(), self.setup.parts.uploads
        request = make_head(**{"host": "drop.example", "path": path, "headers": headers, **head})
        ruling = await come(transfers.request_head(lambda: (request, make_actor())))
        assert ruling.case is not None
        message = HttpMessage(head=request, body=body, direction=Direction.OUTBOUND)
        answer = await transfers.body(ruling.case, lambda: message, ruling.upload)
        assert not isinstance(answer, Rewritten)
        if answer is None and isinstance(ruling.upload, Note):
            response = make_head(host="drop.example", path=path, headers=(), status=status)
            text = json.dumps(reply).encode()
            await uploads.replied(ruling.upload, HttpMessage(head=response, body=text, direction=Direction.INBOUND))
        return answer


def entries(*known: tuple[str, int, int]) -> Headers:
    listed = [{"id": name, "offset": offset, "length": length} for name, offset, length in known]
    return (("arg", json.dumps({"entries": listed})),)


async def test_one_request_with_pieces_of_several_uploads() -> None:
    client = Client()
    first = entries(("a", 0, 20), ("b", 0, 5))
    assert await client.send("/batch", PIECES[0] + b"other", headers=first) is None
    rest = entries(("a", 20, len(SECRET) - 20))
    assert await client.send("/batch", SECRET[20:], headers=rest) is None
    assert await client.send("/finish", b'{"entries": [{"id": "b"}]}') is None
    assert await client.send("/finish", b'{"entries": [{"id": "b"}, {"id": "a"}]}') is not None
    assert SECRET in [part.data for part in client.setup.judge.asked]


async def test_parts_are_numbered_by_their_replies_and_ordered_by_the_commit() -> None:
    client = Client()
    for number in (2, 0, 1):
        assert await client.send("/parts/a", PIECES[number], {"part": f"part_{number}"}) is None
    commit = {"entries": [{"id": "a"}], "order": ["part_0", "part_1", "part_2"]}
    assert await client.send("/finish", json.dumps(commit).encode()) is not None


async def test_bytes_that_go_to_another_host_are_decided_again_where_they_are_shared() -> None:
    """Uploading is allowed; the commit is the share that is not."""
    client = Client(policies=[POLICY])
    start = {"upload_url": "https://store.example/put?sig=s", "id": "F7"}
    assert await client.send("/start", b"{}", start) is None
    public = make_image(3000)
    assert await client.send("/put", public, host="store.example", method="PUT", query="sig=s") is None
    assert await client.send("/finish", b'{"entries": [{"id": "F7"}]}') is None
    asked = len(client.setup.judge.asked)
    assert await client.send("/finish", b'{"entries": [{"id": "F7"}]}') is None
    assert len(client.setup.judge.asked) == asked
    unknown = await client.send("/finish", b'{"entries": [{"id": "F8"}]}')
    assert unknown is not None
    assert json.loads(unknown.body)["reason"] == "unknown_object"


async def test_a_body_that_is_the_whole_object_is_judged_at_once() -> None:
    client = Client()
    answer = await client.send("/put", SECRET, host="store.example", method="PUT", query="sig=s")
    assert answer is not None
    assert [part.data for part in client.setup.judge.asked] == [SECRET]


async def test_another_object_under_a_blocked_key_begins_anew() -> None:
    client = Client()
    where: dict[str, Any] = {"host": "store.example", "method": "PUT", "query": "sig=s"}
    blocked = await client.send("/put", SECRET, **where)
    again = await client.send("/put", SECRET, **where)
    assert blocked is not None
    assert again is not None
    assert again.incident == blocked.incident
    assert await client.send("/put", make_image(3000), **where) is None


async def test_a_cancelled_upload_is_forgotten_once_the_origin_agrees() -> None:
    client = Client()
    await client.send("/parts/a", PIECES[0], {"part": "p"})
    await client.send("/cancel", b'{"id": "a"}', status=403)
    assert await client.setup.parts.spool.find("drop a") is not None
    await client.send("/cancel", b'{"id": "a"}', status=404)
    assert await client.setup.parts.spool.find("drop a") is None


async def test_what_would_be_redacted_in_parts_is_blocked() -> None:
    client = Client(policies=[make_policy(action=Action.REDACT)])
    for number, piece in enumerate(PIECES):
        assert await client.send("/parts/a", piece, {"part": f"part_{number}"}) is None
    answer = await client.send("/finish", b'{"entries": [{"id": "a"}]}')
    assert answer is not None
    assert dict(answer.headers)["X-Safelight"].startswith("block; ")


async def test_a_request_without_its_upload_is_judged_as_any_other() -> None:
    client = Client()
    assert await client.send("/batch", SECRET) is not None
