"""Any bytes on the embedded bus's socket are a frame or a WireError."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.local.frames import decode_frame, encode_frame, frame_length
from shared.errors import WireError


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_wire_error(data: bytes) -> None:
    with suppress(WireError):
        frame = decode_frame(data)
        assert decode_frame(encode_frame(frame)[4:]) == frame


@given(st.binary(min_size=4, max_size=4))
def test_any_length_is_within_the_limit_or_a_wire_error(prefix: bytes) -> None:
    with suppress(WireError):
        assert frame_length(prefix) == int.from_bytes(prefix)
