"""Replies survive the trip, and a child that lies is found out."""

import json
from typing import Any

import pytest

from shared.errors import DecodeError, ErrorCode, WireError
from shared.types import DecodedImage, Obscuring, RedactionOrder
from tests.factories import make_frame, make_image_info
from workers.decoding.protocol import (
    MAX_MESSAGE_CHARACTERS,
    ObscuredImage,
    Reply,
    frame,
    pack_order,
    pack_reply,
    unpack_order,
    unpack_reply,
)

SEEN = make_frame(
    index=37,
    size=(30, 20),
    pixels=bytes(range(12)),
    views=(bytes(range(1, 13)), bytes(range(2, 14))),
    plane=bytes(range(6)),
    plane_size=(3, 2),
)
EMPTY = make_frame(low_information=True)
IMAGE = DecodedImage(info=make_image_info(frames=50, frames_inspected=2), side=2, frames=(EMPTY, SEEN))
INFO: dict[str, Any] = {
    "format": "PNG",
    "width": 3,
    "height": 4,
    "frames": 1,
    "frames_inspected": 1,
    "low_information": False,
}
FRAME: dict[str, Any] = {
    "index": 0,
    "size": [3, 4],
    "pdq": ["0" * 64] * 8,
    "pdq_quality": 5,
    "low_information": False,
    "views": 0,
    "plane": [0, 0],
}
HEAD: dict[str, Any] = {"retire": False, "info": INFO, "side": 2, "frames": [FRAME]}


def reply_with(head: object, pixels: bytes = bytes(12)) -> bytes:
    return frame(json.dumps(head).encode()) + pixels


def test_the_head_that_is_spoiled_below_is_good() -> None:
    assert isinstance(unpack_reply(reply_with(HEAD)).outcome, DecodedImage)


def test_an_image_comes_back() -> None:
    assert unpack_reply(pack_reply(Reply(outcome=IMAGE, retire=True))) == Reply(outcome=IMAGE, retire=True)


def test_an_obscured_image_comes_back() -> None:
    reply = Reply(outcome=ObscuredImage(data=b"a file"))
    assert unpack_reply(pack_reply(reply)) == reply


def test_an_order_stands_before_its_file() -> None:
    order = RedactionOrder(regions=((1, 2, 3, 4), (5, 6, 7, 8)), how=Obscuring.BLUR)
    assert unpack_order(pack_order(order) + b"a file") == (order, b"a file")


def test_an_error_comes_back_shortened() -> None:
    error = DecodeError(ErrorCode.CORRUPT, "x" * 1000)
    outcome = unpack_reply(pack_reply(Reply(outcome=error))).outcome
    assert isinstance(outcome, DecodeError)
    assert (outcome.code, len(str(outcome))) == (ErrorCode.CORRUPT, MAX_MESSAGE_CHARACTERS)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xff\xff\xff",
        frame(b"not json"),
        frame(b"[" * 100_000),
        reply_with([]),
        reply_with({"retire": False}),
        reply_with({"retire": False, "error": ["no_such_code", ""]}),
        reply_with(HEAD, bytes(11)),
        reply_with({**HEAD, "side": 100_000_000}),
        reply_with(HEAD, bytes(13)),
        reply_with({**HEAD, "frames": []}, b""),
        reply_with({**HEAD, "frames": [FRAME] * 2}),
        reply_with({**HEAD, "frames": [{**FRAME, "pdq_quality": 101}]}),
        reply_with({**HEAD, "frames": [{**FRAME, "pdq_quality": "5"}]}),
        reply_with({**HEAD, "frames": [{**FRAME, "pdq": ["0" * 64] * 7}]}),
        reply_with({**HEAD, "frames": [{**FRAME, "pdq": ["<script>" * 8] * 8}]}),
        reply_with({**HEAD, "frames": [{**FRAME, "index": -1}]}),
        reply_with({**HEAD, "frames": [{**FRAME, "size": [3, 0]}]}),
        reply_with({**HEAD, "frames": [{**FRAME, "views": 1 << 30}]}),
        reply_with({**HEAD, "info": {**INFO, "format": "<b>"}}),
        reply_with({**HEAD, "info": {**INFO, "width": -1}}),
    ],
)
def test_nonsense_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        unpack_reply(payload)
