"""However a body is cut, it is held as it came."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_addon.streaming.held_body import HeldBody


@settings(deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=20))
def test_a_held_body_is_what_was_added(chunks: list[bytes]) -> None:
    held = HeldBody()
    for chunk in chunks:
        held += chunk
    assert bytes(held) == b"".join(chunks)
    assert (len(held), bool(held)) == (len(b"".join(chunks)), any(chunks))
    held.clear()
    assert (bytes(held), len(held)) == (b"", 0)
    held += b"again"
    assert bytes(held) == b"again"


def test_a_single_chunk_is_handed_over_without_a_copy() -> None:
    held, chunk = HeldBody(), bytes(1000)
    held += chunk
    assert bytes(held) is chunk
