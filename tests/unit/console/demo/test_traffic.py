"""The demonstration draws what it promises."""

from hashlib import sha256

import httpx

from console.demo.traffic import PROTECTED, UNRELATED, Item, judge, pictures
from workers.training.drawing import FAMILIES


def test_protected_and_unrelated_are_different_pictures_of_the_same_families() -> None:
    protected, unrelated = pictures(7)
    assert (len(protected), len(unrelated)) == (PROTECTED, UNRELATED)
    assert not {picture.seed for picture in protected} & {picture.seed for picture in unrelated}
    assert {picture.family for picture in protected} == {picture.family for picture in unrelated} == set(FAMILIES)
    assert pictures(7) == (protected, unrelated)
    assert pictures(8) != (protected, unrelated)


def test_a_changed_body_is_not_intact() -> None:
    item = Item(kind="text", name="a.txt", data=b"hello", must_block=False, way="download")
    assert judge(item, httpx.Response(200, content=b"hello"), b"", 1.0).intact
    assert not judge(item, httpx.Response(200, content=b"hullo"), b"", 1.0).intact


def test_a_redacted_upload_is_intact_where_it_arrived_as_another() -> None:
    item = Item(kind="to the chat", name="a.jpg", data=b"x", must_block=False, must_redact=True)
    headers = {"X-Safelight": 'redact; policy="p"; incident="abc"'}
    changed = judge(item, httpx.Response(201, headers=headers, text="another"), b"x", 1.0)
    assert (changed.redacted, changed.blocked, changed.incident, changed.intact) == (True, False, "abc", True)
    as_sent = sha256(b"x").hexdigest()
    assert not judge(item, httpx.Response(201, headers=headers, text=as_sent), b"x", 1.0).intact


def test_a_block_is_read_from_its_header() -> None:
    item = Item(kind="grey", name="a.jpg", data=b"x", must_block=True)
    response = httpx.Response(403, headers={"X-Safelight": 'block; policy="p"; incident="abc"'})
    outcome = judge(item, response, b"x", 1.0)
    assert (outcome.blocked, outcome.incident) == (True, "abc")
