"""What an endpoint gets instead of what was blocked."""

import io
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import PIL.Image
import pytest

from proxy_addon.responses import (
    DEFAULT_PLACEHOLDER,
    MAX_ORIGIN,
    MAX_PLACEHOLDER_SIDE,
    Reply,
    block_reply,
    placeholder_png,
    x_safelight,
)
from shared.types import Action, Activity, Decision, Headers, HttpHead
from tests.factories import make_finding, make_head

BLOCKED = Decision(action=Action.BLOCK, policy="no-design-leaves", findings=(make_finding(),))
UNINSPECTED = Decision(
    action=Action.BLOCK,
    policy="no-design-leaves",
    findings=(make_finding(kind="uninspected", reason="too_large: over_budget (and 2 more)"),),
)


def reply_to(*headers: tuple[str, str], method: str = "POST", decision: Decision = BLOCKED) -> Reply:
    request = make_head(headers=headers, method=method)
    return block_reply(request, decision, "incident-1", Activity.MOVE_OUTSIDE, (1280, 853))


def header(reply: Reply, name: str) -> str:
    values = [value for key, value in reply.headers if key == name]
    assert len(values) <= 1
    return values[0] if values else ""


@pytest.mark.parametrize(
    ("headers", "status", "media_type"),
    [
        ((("sec-fetch-dest", "image"), ("accept", "text/html")), 200, "image/png"),
        ((("accept", "image/avif,image/webp,*/*;q=0.8"),), 200, "image/png"),
        ((("accept", " IMAGE/png"), ("sec-fetch-dest", "document")), 200, "image/png"),
        ((("sec-fetch-dest", "document"), ("accept", "text/html,application/xhtml+xml,*/*")), 403, "text/html"),
        ((("sec-fetch-dest", "document"),), 403, "text/html"),
        ((("accept", "application/xml;q=0.9,TEXT/HTML"),), 403, "text/html"),
        ((("accept", "text/html"), ("sec-fetch-mode", "cors")), 403, "application/problem+json"),
        ((("accept", "text/html"), ("sec-fetch-dest", "empty")), 403, "application/problem+json"),
        ((("accept", "*/*"),), 403, "application/problem+json"),
        ((("accept", "text/plain, image/png"),), 403, "application/problem+json"),
        ((), 403, "application/problem+json"),
    ],
)
def test_the_first_kind_that_fits(headers: Headers, status: int, media_type: str) -> None:
    reply = reply_to(*headers)
    assert (reply.status, header(reply, "Content-Type").partition(";")[0]) == (status, media_type)


@pytest.mark.parametrize("accept", ["image/*", "text/html", "*/*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_reply_says_who_and_is_not_stored(accept: str, method: str) -> None:
    reply = reply_to(("accept", accept), method=method)
    assert header(reply, "X-Safelight") == 'block; policy="no-design-leaves"; incident="incident-1"'
    assert header(reply, "Cache-Control") == "no-store"
    assert header(reply, "Retry-After") == ""
    assert header(reply, "Access-Control-Allow-Origin") == ""
    whole = reply_to(("accept", accept))
    assert header(reply, "Content-Length") == str(len(whole.body))
    assert reply.body == (b"" if method == "HEAD" else whole.body)


def test_a_placeholder_has_the_size_of_the_picture() -> None:
    with PIL.Image.open(io.BytesIO(reply_to(("accept", "image/*")).body)) as image:
        assert image.size == (1280, 853)


def test_a_picture_of_unknown_size() -> None:
    head = make_head(headers=(("accept", "image/*"),))
    reply = block_reply(head, BLOCKED, "incident-1", Activity.DOWNLOAD, None)
    with PIL.Image.open(io.BytesIO(reply.body)) as image:
        assert image.size == DEFAULT_PLACEHOLDER


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (8, 9), (3, 500), (500, 3), (640, 480), (4000, 3000), (16_384, 1)])
def test_placeholders_decode_and_are_small(size: tuple[int, int]) -> None:
    png = placeholder_png(*size)
    assert len(png) < 128 + size[0] * size[1] // 100
    with PIL.Image.open(io.BytesIO(png)) as image:
        image.load()
        assert image.size == size
        grey = image.convert("L")
        assert grey.getpixel((0, 0)) == grey.getpixel((size[0] - 1, size[1] - 1)) == 0xE4
        signs = grey.point(lambda value: 255 if value == 0x8C else 0).getbbox()
        if min(size) >= 8:
            assert signs is not None
            left, top, right, bottom = signs
            assert abs(left + right - size[0]) <= 2
            assert abs(top + bottom - size[1]) <= 2


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((0, -5), (1, 1)),
        ((MAX_PLACEHOLDER_SIDE * 4, 8), (MAX_PLACEHOLDER_SIDE, 2)),
        ((1, MAX_PLACEHOLDER_SIDE * 2), (1, MAX_PLACEHOLDER_SIDE)),
    ],
)
def test_placeholders_stay_within_limits(size: tuple[int, int], drawn: tuple[int, int]) -> None:
    with PIL.Image.open(io.BytesIO(placeholder_png(*size))) as image:
        assert image.size == drawn


def test_problem_details() -> None:
    problem = json.loads(reply_to().body)
    assert problem == {
        "type": "urn:safelight:problem:blocked",
        "title": "Blocked by policy",
        "status": 403,
        "detail": "A policy of your organisation does not allow this move outside.",
        "incident": "incident-1",
        "policy": "no-design-leaves",
        "activity": "move_outside",
    }


def test_problem_details_where_nothing_could_be_judged() -> None:
    problem = json.loads(reply_to(decision=UNINSPECTED).body)
    assert (problem["type"], problem["reason"]) == ("urn:safelight:problem:uninspected", "too_large")
    assert "over_budget" not in json.dumps(problem)


class Page(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_what_happened_and_what_to_do() -> None:
    request = make_head(headers=(("sec-fetch-dest", "document"),))
    at = datetime(2027, 1, 31, 12, 30, 5, tzinfo=UTC)
    body = block_reply(request, BLOCKED, "incident-1", Activity.MOVE_OUTSIDE, None, at).body.decode()
    page = Page(body)
    for shown in ("no-design-leaves", "incident-1", "move outside", "2027-01-31 12:30:05 UTC", "security team"):
        assert shown in page.text
    assert not {"img", "script", "link", "iframe", "form"} & set(page.tags)
    assert not {"src", "href", "style", "onload"} & set(page.attributes)
    assert "$" not in body
    assert "pump" not in body


def test_the_page_needs_no_time() -> None:
    assert "Time" not in Page(reply_to(("accept", "text/html")).body.decode()).text


def test_the_page_escapes_everything() -> None:
    evil = "</dd><script>alert('x')</script>\"\x00$policy ${what}"
    decision = Decision(action=Action.BLOCK, policy=evil, findings=(make_finding(policy=evil),))
    request = make_head(headers=(("accept", "text/html"),))
    page = Page(block_reply(request, decision, evil, Activity.UPLOAD, None).body.decode())
    assert "script" not in page.tags
    assert page.text.count("alert('x')") == 2
    assert "\x00" not in page.text


@pytest.mark.parametrize("accept", ["image/*", "text/html", "*/*"])
@pytest.mark.parametrize("origin", ["https://app.example", "https://app.example:8443", "null", "app+x://id"])
def test_scripts_of_another_origin_can_read_the_reply(accept: str, origin: str) -> None:
    reply = reply_to(("accept", accept), ("origin", origin))
    assert header(reply, "Access-Control-Allow-Origin") == origin
    assert header(reply, "Access-Control-Allow-Credentials") == "true"
    assert header(reply, "Access-Control-Expose-Headers") == "X-Safelight"
    assert header(reply, "Vary") == "Origin"


@pytest.mark.parametrize(
    "origin",
    ["", "*", "https://a.example\r\nSet-Cookie: x", "https://a b", "https://ä.example", "https://" + "a" * MAX_ORIGIN],
)
def test_an_origin_that_is_none_is_not_echoed(origin: str) -> None:
    assert header(reply_to(("origin", origin)), "Access-Control-Allow-Origin") == ""


@pytest.mark.parametrize(
    ("policy", "value"),
    [
        ("plain", '"plain"'),
        ('a "b" \\c', '"a \\"b\\" \\\\c"'),
        ("100 %", '"100 %25"'),
        ("Pläne", '"Pl%C3%A4ne"'),
        ("a\r\nb", '"a%0D%0Ab"'),
        ("\ud800", '"?"'),
    ],
)
def test_names_in_the_header_are_quoted(policy: str, value: str) -> None:
    text = x_safelight(Action.BLOCK, policy, "i")
    assert text == f'block; policy={value}; incident="i"'
    assert re.fullmatch(r"[\x20-\x7e]*", text)


def test_the_finding_that_decided_gives_the_reason() -> None:
    findings = (make_finding(policy="other", kind="uninspected", reason="timeout"), make_finding())
    problem = json.loads(
        reply_to(decision=Decision(action=Action.BLOCK, policy="no-design-leaves", findings=findings)).body
    )
    assert "reason" not in problem


def test_a_request_head_is_all_that_is_needed() -> None:
    request = HttpHead(method="GET", scheme="https", host="a.example", port=443, path="/")
    assert block_reply(request, Decision(action=Action.BLOCK), "i", Activity.DOWNLOAD, None).status == 403
