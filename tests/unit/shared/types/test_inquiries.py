"""What is asked of images."""

from shared.types import AT_LEISURE, Inquiry


def test_only_who_stops_waiting_sets_a_limit() -> None:
    assert AT_LEISURE.limit is None
    assert Inquiry(deadline=12.5).limit == 12.5
