"""Finds survive the trip, and a child that lies is found out."""

from __future__ import annotations

import hashlib
import json

import pytest

from shared.errors import ErrorCode, WireError
from workers.decoding.protocol import Reply, Unpacked, frame, pack_reply
from workers.decoding.unpack_protocol import (
    MAX_MESSAGE,
    Findings,
    UnpackOrder,
    pack_find,
    pack_unpack_order,
    unpack_find,
    unpack_unpack_order,
)
from workers.unpacking.budget import Limit, Limits
from workers.unpacking.names import MAX_PATH
from workers.unpacking.walk import Found, Unread

FOUND = Found(path="a/b.png", data=b"file", sha256=hashlib.sha256(b"file").hexdigest())
UNREAD = Unread(path="a/c.zip", code=ErrorCode.OVER_BUDGET, message="too deep", limit=Limit.DEPTH)


def test_finds_come_back() -> None:
    assert unpack_find(pack_find(FOUND)) == FOUND
    assert unpack_find(pack_find(UNREAD)) == UNREAD
    assert unpack_find(pack_reply(Reply(outcome=Unpacked()))) is None


def test_an_order_stands_before_its_file() -> None:
    order = UnpackOrder(seconds=0.75, max_inflated_bytes=1 << 20)
    assert unpack_unpack_order(pack_unpack_order(order) + b"a file") == (order, b"a file")
    assert (order.limits().seconds, order.limits().max_inflated_bytes) == (0.75, 1 << 20)


def test_messages_are_shortened() -> None:
    find = unpack_find(pack_find(Unread(path="", code=ErrorCode.CORRUPT, message="x" * 1000)))
    assert isinstance(find, Unread)
    assert len(find.message) == MAX_MESSAGE


@pytest.mark.parametrize(
    "head",
    [
        {"found": 7},
        {"found": "x" * (MAX_PATH + 1)},
        {"found": "a\x1b[31m"},
        {"unread": ["a", "odd", "", None]},
        {"unread": ["a", "corrupt", "", "odd"]},
        {"unread": ["a"]},
        7,
    ],
)
def test_nonsense_is_refused(head: object) -> None:
    with pytest.raises(WireError):
        unpack_find(frame(json.dumps(head).encode()))
    with pytest.raises(WireError):
        unpack_find(b"\0\0\0\4not json")


@pytest.mark.parametrize("limits", [Limits(max_images=2), Limits(max_image_bytes=9)])
def test_a_child_finds_no_more_than_it_may(limits: Limits) -> None:
    findings = Findings(limits)
    assert findings.take(pack_find(FOUND))
    assert findings.take(pack_find(UNREAD))
    assert findings.take(pack_find(FOUND))
    with pytest.raises(WireError):
        findings.take(pack_find(FOUND))


def test_the_reply_ends_a_container() -> None:
    assert not Findings(Limits()).take(pack_reply(Reply(outcome=Unpacked())))
