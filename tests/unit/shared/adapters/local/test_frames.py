"""The embedded bus's frames: round trip, limits, hostile bytes."""

from __future__ import annotations

import struct

import pytest

from shared.adapters.local.frames import (
    MAX_FRAME,
    MAX_MESSAGE,
    Ask,
    Asked,
    Done,
    Frame,
    Given,
    Hello,
    Reply,
    Want,
    Welcome,
    decode_frame,
    encode_frame,
    fits,
    frame_length,
)
from shared.errors import BusError, WireError
from shared.types import BusMessage


def message(value: bytes = b"\x00sealed\xff") -> BusMessage:
    return BusMessage(key=b"\x00key", value=value, correlation_id="c-1", partition=3)


@pytest.mark.parametrize(
    "frame",
    [
        Hello(-1),
        Welcome(),
        Ask(7, message()),
        Asked(7),
        Asked(8, "the bus is full"),
        Want(16),
        Given(((1, message()), (2, message(b"")))),
        Reply(message()),
        Done((1, 2, 3)),
    ],
)
def test_a_frame_comes_back_as_it_was(frame: Frame) -> None:
    data = encode_frame(frame)
    assert frame_length(data[:4]) == len(data) - 4
    assert decode_frame(data[4:]) == frame


def test_the_largest_message_fits_every_frame_that_carries_it() -> None:
    largest = message(b"x" * (MAX_MESSAGE - 4 - 4 * 3))
    assert fits(largest)
    assert not fits(message(b"x" * MAX_MESSAGE))
    for frame in (Ask(2**63, largest), Given(((2**63, largest),)), Reply(largest)):
        assert len(encode_frame(frame)) <= MAX_FRAME


def test_a_frame_over_the_limit_is_refused_by_sender_and_receiver() -> None:
    with pytest.raises(BusError, match="limit"):
        encode_frame(Reply(message(b"x" * MAX_FRAME)))
    assert frame_length(struct.pack(">I", MAX_FRAME)) == MAX_FRAME
    with pytest.raises(WireError, match="limit"):
        frame_length(struct.pack(">I", MAX_FRAME + 1))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x91\xa5hello",  # no instance
        b"\x92\xa5hello\xa1x",  # an instance that is no number
        b"\x92\xa5other\x01",
        b"\x92\xa4want\x01\x01",  # bytes left over
        b"\x91" * 2000,
    ],
)
def test_bytes_that_are_no_frame_are_wire_errors(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_frame(body)
