from __future__ import annotations

import json
from typing import Any

from shared.core.selectors import parse_selector
from shared.extract.budget import Limits
from shared.extract.upload_steps import Learned, Taken, read_reply, read_steps
from shared.types import Direction, Headers, HttpMessage, Role, Selection, StepKind, UploadStep
from tests.factories import make_head
from tests.unit.shared.extract.pictures import run


def selection(step: StepKind | None, groups: dict[str, str] | None = None, **roles: str | list[str]) -> Selection:
    select = {
        Role(role): tuple(parse_selector(text, Role(role)) for text in ([texts] if isinstance(texts, str) else texts))
        for role, texts in roles.items()
    }
    return Selection(app="drive", step=step, select=select, groups=groups or {})


def message(body: bytes = b"", headers: Headers = (), **head: Any) -> HttpMessage:
    return HttpMessage(head=make_head(headers=headers, **head), body=body, direction=Direction.OUTBOUND)


def taken(rule: Selection, request: HttpMessage) -> Taken:
    return run(read_steps(rule, request, Limits()))


def test_a_part_by_content_range() -> None:
    rule = selection(StepKind.PART, session="url", offset="content-range", total="content-range")
    request = message(b"12345", (("content-range", "bytes 10-14/20"),), path="/up", query="id=7")
    step = UploadStep(kind=StepKind.PART, session="//files.vendor.example/up?id=7", offset=10, total=20, span=(0, 5))
    assert taken(rule, request) == Taken(steps=(step,), body=b"12345")


def test_a_question_for_the_status_tells_the_total_and_brings_nothing() -> None:
    rule = selection(StepKind.PART, session="url", offset="content-range", total="content-range")
    (step,) = taken(rule, message(b"", (("content-range", "bytes */20"),))).steps
    assert (step.offset, step.total, step.span) == (None, 20, None)


def test_one_body_with_pieces_of_several_uploads() -> None:
    arg = {"entries": [{"cursor": {"id": "a", "offset": 5}, "n": 2}, {"cursor": {"id": "b", "offset": 0}, "n": 9}]}
    place = "header-json:arg:$.entries[*]"
    rule = selection(StepKind.PART, session=f"{place}.cursor.id", offset=f"{place}.cursor.offset", length=f"{place}.n")
    steps = taken(rule, message(b"123456", (("arg", json.dumps(arg)),))).steps
    assert [(step.session, step.offset, step.span) for step in steps] == [
        ("drive a", 5, (0, 2)),
        ("drive b", 0, (2, 6)),
    ]


def test_a_part_in_a_form() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="id"\r\n\r\n77\r\n'
        b'--b\r\nContent-Disposition: form-data; name="media"; filename="x"\r\n\r\nBYTES\r\n--b--\r\n'
    )
    rule = selection(
        StepKind.PART, session=["query:id", "form:id"], number="query:n", data=["form:other", "form:media"]
    )
    request = message(body, (("content-type", "multipart/form-data; boundary=b"),), query="n=3")
    (step,) = taken(rule, request).steps
    assert step.span is not None
    assert (step.session, step.number, body[slice(*step.span)]) == ("drive 77", "3", b"BYTES")
    (without,) = taken(rule, message(b"x", query="n=3&id=8")).steps
    assert without.span is None


def test_a_commit_lists_its_parts_and_may_bring_the_last() -> None:
    rule = selection(StepKind.COMMIT, {"id": "7"}, session="path:id", order="xml:PartNumber")
    (step,) = taken(rule, message(b"<C><PartNumber>2</PartNumber><PartNumber>1</PartNumber></C>")).steps
    assert (step.session, step.order, step.span) == ("drive 7", ("2", "1"), None)
    rule = selection(StepKind.COMMIT, {"id": "7", "at": "5"}, session="path:id", offset="path:at", data="body")
    (step,) = taken(rule, message(b"last")).steps
    assert (step.offset, step.span) == (5, (0, 4))


def test_joined_uploads() -> None:
    rule = selection(StepKind.COMMIT, sources="json:$.parts[*]")
    (step,) = taken(rule, message(b'{"parts": ["/a", "https://files.vendor.example/b?partNumber=1"]}')).steps
    assert step.sources == ("//files.vendor.example/a?", "//files.vendor.example/b?")
    rule = selection(StepKind.COMMIT, sources="header:upload-concat")
    (step,) = taken(rule, message(headers=(("upload-concat", "final;/files/a http://b.example/c"),))).steps
    assert step.sources == ("//files.vendor.example/files/a?", "//b.example/c?")


def test_what_does_not_say_its_upload_is_no_step() -> None:
    rule = selection(StepKind.PART, session="query:id")
    assert taken(rule, message(b"x")) == taken(rule, message(b"x", query="id=")) == Taken()
    assert taken(selection(None, object="query:id"), message(b"x", query="id=7")) == Taken()


def test_numbers_that_are_none_are_not_known() -> None:
    rule = selection(StepKind.PART, session="query:id", offset="query:at", total="query:of")
    (step,) = taken(rule, message(b"x", query="id=7&at=-1&of=9999999999999999999")).steps
    assert (step.offset, step.total) == (None, None)


def test_a_start_is_known_by_what_its_reply_says() -> None:
    rule = selection(
        StepKind.START,
        learn=["reply.json:$.upload_url", "reply.json:$.file_id", "reply.header:location"],
        object="reply.json:$.file_id",
        name="json:$.filename",
        total="json:$.length",
    )
    request = message(b'{"filename": "a.png", "length": 12}')
    (step,) = taken(rule, request).steps
    assert (step.kind, step.session, step.total, step.name) == (StepKind.START, "", 12, "a.png")
    reply = HttpMessage(
        head=make_head(headers=(("location", "/up/1"),), status=200),
        body=b'{"upload_url": "https://elsewhere.example/x?sig=1", "file_id": "F7"}',
        direction=Direction.INBOUND,
    )
    assert run(read_reply(rule, request, reply)) == Learned(
        sessions=("//elsewhere.example/x?sig=1", "drive F7", "//files.vendor.example/up/1?"),
        objects=("F7",),
        name="a.png",
    )


def test_the_number_of_a_part_may_be_given_by_the_reply() -> None:
    rule = selection(StepKind.PART, session="query:id", number="reply.json:$.id")
    reply = HttpMessage(head=make_head(status=200), body=b'{"id": "part_9"}', direction=Direction.INBOUND)
    assert run(read_reply(rule, message(b"x", query="id=7"), reply)).number == "part_9"
