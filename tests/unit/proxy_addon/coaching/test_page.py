"""Only the user's own form counts, and the page gives nothing else away."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from proxy_addon.coaching.page import MAX_FORM_BYTES, coach_page, is_coach_page, refused_head
from proxy_addon.coaching.passes import Coaching
from proxy_addon.responses.pages import COACH_PATH
from proxy_addon.responses.reply import Reply
from shared.core.policy import decide
from shared.errors import StoreError
from shared.telemetry import Metrics
from shared.types import Action, Headers, HttpHead, Versioned
from tests.factories import make_actor, make_head, make_policy
from tests.inspection_doubles import StillClock
from tests.memory_store import MemoryStore
from tests.unit.proxy_addon.coaching.test_passes import HOST, SEALER, case_of, image

POLICY = make_policy(name='<ask> & "quote"', action=Action.COACH)
FORM = (("content-type", "application/x-www-form-urlencoded"),)
BROWSER = (("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate"), ("sec-fetch-user", "?1"))
CASE = case_of(POLICY)


class Page:
    """The page, and a ticket for it."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.coaching = Coaching(store or MemoryStore(), SEALER, StillClock(), Metrics())
        self.ticket = self.coaching.ticket(CASE, decide(CASE.policies, [image("a")]), [image("a")], "incident-1")

    async def get(self, query: str, user: str = "u1@corp.example") -> Reply:
        return await coach_page(self.coaching, head_of("GET", (), query), b"", make_actor(user=user))

    async def post(self, *headers: tuple[str, str], **fields: str) -> Reply:
        body = urlencode({"ticket": self.ticket, "reason": "for the tender", **fields}).encode()
        return await coach_page(self.coaching, head_of("POST", (*FORM, *headers)), body, make_actor())

    async def granted(self) -> bool:
        decision = decide(CASE.policies, [image("a")])
        return (await self.coaching.excused(CASE, decision, [image("a")])).action is Action.ALLOW


def head_of(method: str, headers: Headers = (), query: str = "") -> HttpHead:
    return make_head(method=method, path=COACH_PATH, query=query, headers=headers)


def header(reply: Reply, name: str) -> str:
    return dict(reply.headers)[name]


def test_it_has_one_place() -> None:
    assert is_coach_page(head_of("GET"))
    assert not is_coach_page(make_head(path=COACH_PATH + "/x"))


async def test_the_form_says_what_was_found_and_takes_a_reason() -> None:
    page = Page()
    reply = await page.get(f"ticket={page.ticket}")
    text = reply.body.decode()
    assert reply.status == 200
    assert f'value="{page.ticket}"' in text
    assert "&lt;ask&gt; &amp; &quot;quote&quot;" in text
    assert "incident-1" in text
    assert "Found" not in text, "what it was is not in the link, and no image was not looked at"
    assert f'action="{COACH_PATH}"' in text
    assert "<script" not in text
    policy = header(reply, "Content-Security-Policy")
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert (header(reply, "X-Frame-Options"), header(reply, "Cache-Control")) == ("DENY", "no-store")
    assert "Access-Control-Allow-Origin" not in dict(reply.headers)
    assert not await page.granted(), "to look at it is not to agree"


@pytest.mark.parametrize("headers", [BROWSER, (), (("origin", f"https://{HOST}"),)])
async def test_a_reason_counts(headers: Headers) -> None:
    page = Page()
    reply = await page.post(*headers, reason="  for the\r\n tender ")
    assert reply.status == 200
    assert re.search(r"until \d\d:\d\d UTC the same upload", reply.body.decode())
    assert await page.granted()
    decision = await page.coaching.excused(CASE, decide(CASE.policies, [image("a")]), [image("a")])
    assert decision.findings[0].justification == "for the tender"


@pytest.mark.parametrize(
    "headers",
    [
        (("sec-fetch-site", "cross-site"), *BROWSER[1:]),
        (("sec-fetch-site", "same-site"), *BROWSER[1:]),
        (BROWSER[0], ("sec-fetch-mode", "cors"), BROWSER[2]),
        BROWSER[:2],
        (("origin", "https://evil.example"),),
        (("origin", "null"),),
        (("origin", f"https://{HOST}.evil.example"),),
    ],
    ids=["another site", "a sister site", "a script", "not the user", "another origin", "no origin", "alike"],
)
async def test_a_reason_that_the_user_did_not_send_does_not_count(headers: Headers) -> None:
    page = Page()
    reply = await page.post(*headers)
    assert (reply.status, await page.granted()) == (403, False)


async def test_a_reason_in_another_kind_of_body_does_not_count() -> None:
    """A form of another site can send text/plain and multipart without asking, but then the rest fails as well."""
    page = Page()
    body = urlencode({"ticket": page.ticket, "reason": "for the tender"}).encode()
    head = head_of("POST", (("content-type", "text/plain"),))
    assert (await coach_page(page.coaching, head, body, make_actor())).status == 403
    assert not await page.granted()


@pytest.mark.parametrize("reason", ["", "  a  ", "x" * 501])
async def test_a_reason_that_is_none_is_asked_for_again(reason: str) -> None:
    page = Page()
    reply = await page.post(reason=reason)
    assert (reply.status, await page.granted()) == (422, False)
    assert 'role="alert"' in reply.body.decode()
    assert page.ticket in reply.body.decode()


async def test_links_that_do_not_count() -> None:
    page = Page()
    for query, user in ((f"ticket={page.ticket}", "u2@corp.example"), ("ticket=x", "u1@corp.example"), ("", "")):
        assert (await page.get(query, user)).status == 403
    assert (await page.post(ticket="x")).status == 403
    many = "&".join(f"a{number}=1" for number in range(50))
    assert (await page.get(f"{many}&ticket={page.ticket}")).status == 403


class DeadStore(MemoryStore):
    async def get(self, key: str) -> Versioned | None:
        raise StoreError("down")


async def test_a_reason_that_cannot_be_kept_is_said() -> None:
    assert (await Page(DeadStore()).post()).status == 503


async def test_a_head_has_no_body() -> None:
    reply = await coach_page(Page().coaching, head_of("HEAD"), b"", make_actor())
    assert (reply.body, int(header(reply, "Content-Length")) > 0) == (b"", True)


@pytest.mark.parametrize(
    ("method", "length", "status"),
    [
        ("GET", "", None),
        ("HEAD", "", None),
        ("POST", "900", None),
        ("POST", str(MAX_FORM_BYTES), None),
        ("POST", str(MAX_FORM_BYTES + 1), 413),
        ("POST", "9" * 5000, 413),
        ("POST", "", 411),
        ("POST", "-1", 411),
        ("PUT", "5", 405),
        ("OPTIONS", "", 405),
    ],
)
def test_what_is_refused_before_it_is_read(method: str, length: str, status: int | None) -> None:
    reply = refused_head(head_of(method, (("content-length", length),) if length else ()))
    assert (None if reply is None else reply.status) == status
