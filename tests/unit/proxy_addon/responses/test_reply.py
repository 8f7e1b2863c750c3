"""What an endpoint gets instead of what was blocked."""

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import PIL.Image
import pytest

from proxy_addon.responses.reply import (
    DEFAULT_PLACEHOLDER,
    MAX_ORIGIN,
    Reply,
    block_reply,
    coach_reply,
    is_preflight,
    preflight_reply,
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


@pytest.mark.parametrize(
    ("headers", "host", "query"),
    [
        (
            (("authorization", "AWS4-HMAC-SHA256 Credential=AK/20270101/eu-west-1/s3/aws4_request, Sig"),),
            "a.example",
            "",
        ),
        ((("authorization", "AWS AK:signature"),), "a.example", ""),
        ((), "a.example", "X-Amz-Credential=AK%2F20270101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=0"),
        ((), "bucket.s3.eu-west-1.amazonaws.com", ""),
        ((), "s3.amazonaws.com", ""),
    ],
)
def test_s3_clients_get_s3_s_error(headers: Headers, host: str, query: str) -> None:
    request = make_head(headers=headers, host=host, query=query, path="/bucket/a<b&c.png")
    reply = block_reply(request, BLOCKED, "incident-1", Activity.UPLOAD, None)
    assert (reply.status, header(reply, "Content-Type")) == (403, "application/xml")
    error = ET.fromstring(reply.body)  # noqa: S314 - written a line above
    found = {child.tag: child.text for child in error}
    assert (error.tag, found["Code"], found["Resource"]) == ("Error", "AccessDenied", "/bucket/a<b&c.png")
    assert found["RequestId"] == header(reply, "x-amz-request-id") == "incident-1"


def test_other_services_of_the_same_kind_get_problem_details() -> None:
    other = "AWS4-HMAC-SHA256 Credential=AK/20270101/eu-west-1/bedrock/aws4_request, Sig"
    assert header(reply_to(("authorization", other)), "Content-Type") == "application/problem+json"


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("application/grpc", "application/grpc"),
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc-web-text", "application/grpc-web+proto"),
    ],
)
def test_grpc_clients_get_a_status_without_a_body(sent: str, answered: str) -> None:
    reply = reply_to(("content-type", sent), ("origin", "https://app.example"))
    assert (reply.status, reply.body, header(reply, "Content-Type")) == (200, b"", answered)
    assert header(reply, "grpc-status") == "7"
    assert header(reply, "grpc-message") == "A policy of your organisation does not allow this move outside."
    assert header(reply, "X-Safelight").startswith("block; ")
    assert "grpc-status" in header(reply, "Access-Control-Expose-Headers")
    assert header(reply, "Content-Length") == "", "a client would wait for a message of that length"


COACHED = Decision(action=Action.COACH, policy="ask", findings=(make_finding(policy="ask", action=Action.COACH),))


def coached(*headers: tuple[str, str], port: int = 443) -> Reply:
    return coach_reply(make_head(headers=headers, port=port), COACHED, "incident-1", Activity.UPLOAD, (8, 8), "TICKET")


def test_programs_are_told_where_a_reason_is_taken() -> None:
    problem = json.loads(coached().body)
    assert problem["type"] == "urn:safelight:problem:justification-required"
    place = "https://files.vendor.example/.well-known/safelight/coach?ticket=TICKET"
    assert problem["justify"] == place
    assert json.loads(coached(port=8443).body)["justify"].startswith("https://files.vendor.example:8443/.well-known/")
    assert header(coached(), "X-Safelight") == 'coach; policy="ask"; incident="incident-1"'
    assert place in header(coached(("content-type", "application/grpc")), "grpc-message")
    assert place in coached(("authorization", "AWS a:b")).body.decode()


def test_people_get_the_form_at_once() -> None:
    reply = coached(("sec-fetch-dest", "document"))
    body = reply.body.decode()
    assert reply.status == 403
    page = Page(body)
    assert {"form", "textarea", "button"} <= set(page.tags)
    assert "script" not in page.tags
    assert 'value="TICKET"' in body
    assert "drawing.png (protected by the set designs)" in page.text
    assert "form-action 'self'" in header(reply, "Content-Security-Policy")
    assert coached(("sec-fetch-dest", "image")).status == 200


def test_a_block_in_a_redaction_s_place_says_why() -> None:
    finding = make_finding(note="not redacted: signed_body")
    decision = Decision(action=Action.BLOCK, policy="no-design-leaves", findings=(finding,))
    assert json.loads(reply_to(decision=decision).body)["note"] == "not redacted: signed_body"


def preflight(**headers: str) -> HttpHead:
    values = {"origin": "https://app.example", "access-control-request-method": "PUT"}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_head(method="OPTIONS", headers=tuple({**values, **given}.items()))


def test_a_preflight_is_admitted() -> None:
    request = preflight(
        access_control_request_headers="content-type, x-upload-id", access_control_request_private_network="true"
    )
    assert is_preflight(request)
    reply = preflight_reply(request)
    assert reply.status == 204
    assert dict(reply.headers) == {
        "Access-Control-Allow-Origin": "https://app.example",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "X-Safelight",
        "Vary": "Origin",
        "Access-Control-Allow-Methods": "PUT",
        "Access-Control-Allow-Headers": "content-type, x-upload-id",
        "Access-Control-Allow-Private-Network": "true",
        "Access-Control-Max-Age": "0",
        "Cache-Control": "no-store",
        "Content-Length": "0",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": ""},
        {"origin": "*"},
        {"access_control_request_method": ""},
        {"access_control_request_method": "PUT\r\nX: y"},
        {"access_control_request_method": "P" * 5000},
    ],
)
def test_what_is_no_preflight(headers: dict[str, str]) -> None:
    assert not is_preflight(preflight(**headers))
    assert not is_preflight(replace(preflight(), method="GET"))


def test_names_that_are_none_are_not_echoed() -> None:
    names = {
        name for name, _ in preflight_reply(preflight(access_control_request_headers="a\r\nSet-Cookie: b")).headers
    }
    assert "Access-Control-Allow-Headers" not in names
