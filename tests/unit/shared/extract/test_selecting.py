from __future__ import annotations

import gzip
import json

import pytest

from shared.core.selectors import parse_selector
from shared.extract.budget import Limits
from shared.extract.selecting import (
    MAX_DIGITS,
    MAX_JSON_BYTES,
    MAX_JSON_MARKS,
    MAX_TELLING_BYTES,
    MAX_TELLING_MARKS,
    MAX_XML_BYTES,
    Message,
    open_message,
    select,
)
from shared.types import Direction, Headers, HttpMessage, Role, Selection
from tests.factories import make_head
from tests.unit.shared.extract.pictures import run

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="id"\r\n\r\n77\r\n'
    b'--b\r\nContent-Disposition: form-data; name="list"\r\n\r\n[{"n": 1}, {"n": 2}]\r\n--b--\r\n'
)
XML = b'<a:List xmlns:a="x"><a:Part n="1"> 3 </a:Part><Part>a&lt;&amp;b</Part><Parts>no</Parts><Part/></a:List>'


def opened(body: bytes = b"", headers: Headers = (), query: str = "", **groups: str) -> Message:
    head = make_head(headers=headers, query=query)
    message = HttpMessage(head=head, body=body, direction=Direction.OUTBOUND)
    return run(open_message(message, groups, Limits()))


def found(message: Message, text: str) -> list[str]:
    return message.values(parse_selector(text, Role.LEARN if text.startswith("reply.") else Role.OBJECT))


def test_what_the_head_says() -> None:
    headers = (("x-id", "7"), ("x-id", "8"), ("x-arg", '{"cursor": {"id": "s", "offset": 12}}'))
    message = opened(headers=headers, query="Upload_ID=a%2Fb&x=", guid="g%20h")
    assert found(message, "path:guid") == ["g h"]
    assert found(message, "path:other") == []
    assert found(message, "query:upload_id") == ["a/b"]
    assert found(message, "header:x-id") == ["7", "8"]
    assert found(message, "header-json:x-arg:$.cursor.offset") == ["12"]
    assert found(message, "header-json:x-id:$.cursor") == []
    assert found(message, "url") == ["files.vendor.example/upload?Upload_ID=a%2Fb&x="]


def test_values_in_json() -> None:
    body = {"a": [{"id": "x"}, {"id": 2}, {"id": True}, {"id": None}, "y", {"id": 10**18}], "b": {"c": "d"}}
    message = opened(json.dumps(body).encode())
    assert found(message, "json:$.a[*].id") == ["x", "2", "true"]
    assert found(message, "json:$.a[0].id") == ["x"]
    assert found(message, "json:$.b.c") == ["d"]
    assert found(message, "json:$.a[9].id") == found(message, "json:$.b[0]") == found(message, "json:$.b") == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5000, b" " * MAX_JSON_BYTES + b'{"a":1}'])
def test_what_is_no_json_gives_nothing(body: bytes) -> None:
    assert found(opened(body), "json:$.a") == []


@pytest.mark.parametrize(("marks", "values"), [(MAX_JSON_MARKS, ["7"]), (MAX_JSON_MARKS + 1, [])])
def test_json_is_parsed_up_to_so_many_marks(marks: int, values: list[str]) -> None:
    """Not its bytes but its values take time: an opening bracket, a comma, a colon for each."""
    body = b'{"a":7,"b":"' + b"," * (marks - 4) + b'"}'
    assert found(opened(body), "json:$.a") == values
    form = b"--b\r\nContent-Disposition: form-data; name=list\r\n\r\n" + body + b"\r\n--b--"
    assert found(opened(form, (("content-type", "multipart/form-data; boundary=b"),)), "form-json:list:$.a") == values


def test_text_in_json_may_be_long() -> None:
    body = json.dumps({"picture": "A" * 200_000, "id": "7"}).encode()
    assert found(opened(body), "json:$.id") == ["7"]


def test_numbers_of_many_digits_are_not_read() -> None:
    body = b'{"a": [%b, -%b, 5]}' % (b"9" * 4000, b"9" * 4000)
    assert found(opened(body), "json:$.a[*]") == ["5"]
    assert found(opened(b'{"a": -%b}' % (b"9" * MAX_DIGITS)), "json:$.a") == ["-" + "9" * MAX_DIGITS]


def test_values_in_xml() -> None:
    assert found(opened(XML), "xml:Part") == ["3", "a<&b"]
    assert found(opened(XML), "xml:Part|Parts") == ["3", "a<&b", "no"]
    assert found(opened(XML + b" " * MAX_XML_BYTES), "xml:Part") == []


def test_fields_of_forms() -> None:
    form = opened(FORM, (("content-type", "multipart/form-data; boundary=b"),))
    assert found(form, "form:id") == ["77"]
    assert found(form, "form-json:list:$[*].n") == ["1", "2"]
    urlencoded = opened(b"id=7+8&id=9", (("content-type", "application/x-www-form-urlencoded"),))
    assert found(urlencoded, "form:id") == ["7 8"]
    assert found(opened(b"id=7"), "form:id") == []


def test_codings_are_undone_as_far_as_they_can_be() -> None:
    packed = gzip.compress(b'{"a": 1}')
    assert found(opened(packed, (("content-encoding", "gzip"),)), "json:$.a") == ["1"]
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (10, packed[:10])
    assert opened(framed, (("content-encoding", "gzip, aws-chunked"),)).body == packed[:10]
    assert opened(b"plain", (("content-encoding", "gzip"),)).body == b"plain"


def test_each_selector_looks_into_its_own_message() -> None:
    selectors = tuple(parse_selector(text, Role.OBJECT) for text in ("reply.json:$.id", "json:$.id"))
    selection = Selection(app="drive", select={Role.OBJECT: selectors})
    request, reply = opened(b'{"id": "asked"}'), opened(b'{"id": "given"}')
    assert select(selection, Role.OBJECT, request, reply) == ["given"]
    assert select(selection, Role.OBJECT, request) == ["asked"]
    assert select(selection, Role.NAME, request, reply) == []


JSON_TYPE = (("content-type", "application/json"),)
FORM_TYPE = (("content-type", "application/x-www-form-urlencoded"),)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"trashed": false, "trashed": true}', JSON_TYPE),
        (b'{"a": {"b": 1, "b": 2}}', ()),
        (b'\xef\xbb\xbf [{"a": 1, "a": 1}]', JSON_TYPE),
        (b'{"trashed": true,}', JSON_TYPE),
        (b'{"a": "' + b"x" * MAX_TELLING_BYTES + b'"}', JSON_TYPE),
        (b"[" * 20_000, JSON_TYPE),
        (b"[1" + b",1" * MAX_TELLING_MARKS + b"]", JSON_TYPE),
        (b"a=" + b"x" * MAX_TELLING_BYTES, FORM_TYPE),
        (b"no gzip", (("content-encoding", "gzip"),)),
        (b'{"a": 1}', (("content-encoding", "unheard-of"),)),
    ],
)
def test_what_a_server_may_read_in_another_way(body: bytes, headers: Headers) -> None:
    assert opened(body, headers).is_ambiguous()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", JSON_TYPE),
        (b"", (("content-encoding", "gzip"),)),
        (b' {"trashed": true, "labels": {"trashed": false}}', JSON_TYPE),
        (gzip.compress(b'{"a": 1}', mtime=0), (("content-encoding", "gzip"),)),
        (b"a=1&a=2", FORM_TYPE),
        (b"[1" + b",1" * (MAX_TELLING_MARKS - 1) + b"]", JSON_TYPE),
        (b"\x89PNG" + bytes(MAX_TELLING_BYTES), ()),
    ],
)
def test_what_has_one_reading(body: bytes, headers: Headers) -> None:
    assert not opened(body, headers).is_ambiguous()
