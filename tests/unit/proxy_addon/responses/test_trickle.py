"""What leaves before a verdict is never a picture."""

import pytest

from proxy_addon.responses.trickle import MAX_TRICKLED, Trickle


@pytest.mark.parametrize(("size", "most"), [(0, 0), (1, 0), (2, 1), (100, 50), (10_000_000, MAX_TRICKLED)])
def test_no_more_than_a_few_bytes_leave(size: int, most: int) -> None:
    trickle = Trickle()
    assert sum(trickle.allow(size) for _ in range(MAX_TRICKLED * 2)) == most
    assert trickle.sent == most


def test_nothing_leaves_once_it_is_decided() -> None:
    trickle = Trickle()
    assert trickle.allow(100)
    assert trickle.close() == 1
    assert not trickle.allow(100)
    assert trickle.close() == 1
