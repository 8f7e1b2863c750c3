"""How much one pass of the collector takes on."""

from __future__ import annotations

import gc
from collections import deque

from proxy_addon.runtime.collector import THRESHOLDS, small_steps

ALIVE = 600
"""Objects in cycles that are alive at once, so that each young pass lets some through to the next."""


class Knot:
    """Refers to itself, as a layer and its generator do."""

    def __init__(self) -> None:
        self.itself = self


def largest_middle_pass() -> int:
    """Return how many objects of many the largest pass over the middle generation took."""
    taken: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 1:
            taken.append(info["collected"])

    alive: deque[Knot] = deque(maxlen=ALIVE)
    gc.callbacks.append(note)
    try:
        for _ in range(60_000):
            alive.append(Knot())
    finally:
        gc.callbacks.remove(note)
    return max(taken)


def test_no_pass_takes_more_than_a_few_thousand_objects() -> None:
    with small_steps():
        bounded = largest_middle_pass()
    assert 0 < bounded <= THRESHOLDS[0] * (THRESHOLDS[1] + 2)
    assert bounded < largest_middle_pass()


def test_what_is_alive_is_left_alone_and_all_is_as_before_afterwards() -> None:
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    with small_steps():
        assert gc.get_freeze_count() > frozen
        assert gc.get_threshold() == THRESHOLDS
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == 0
