"""What decoding a sender may cause, and what an image costs."""

from __future__ import annotations

import pytest

from proxy_addon.verdicts.decode_budget import (
    KILLED_UNITS,
    UNIT_BYTES,
    DecodeBudget,
    cost_of_bytes,
    cost_of_verdict,
    sender_of,
)
from shared.errors import ErrorCode
from shared.types import Actor, Verdict
from tests.factories import make_error_verdict, make_image_info, make_verdict

PAGE_OF_PICTURES = 600
PHOTOGRAPH = 4_000_000


def spend(budget: DecodeBudget, sender: str, now: float = 0.0, size: int = 1) -> int:
    """Return how many images are admitted before the first that is not."""
    count = 0
    while budget.admits(sender, size, now):
        count += 1
    return count


def of_frames(frames: int, side: int = 200) -> Verdict:
    return make_verdict(image=make_image_info(frames=frames, frames_inspected=frames, width=side, height=side))


@pytest.mark.parametrize(
    ("size", "units"), [(0, 1), (1, 1), (UNIT_BYTES, 1), (UNIT_BYTES + 1, 2), (PHOTOGRAPH, 16), (128 << 20, 512)]
)
def test_an_image_costs_by_its_bytes(size: int, units: int) -> None:
    assert cost_of_bytes(size) == units


@pytest.mark.parametrize(
    ("verdict", "units"),
    [
        (make_verdict(), 1),
        (of_frames(1, 10_000), 25),
        (of_frames(50), 13),
        (of_frames(16, 2000), 16),
        (make_verdict(image=None, images=(of_frames(1), of_frames(50), make_verdict(images=(make_verdict(),)))), 16),
        (make_error_verdict(ErrorCode.CORRUPT), 0),
        (make_error_verdict(ErrorCode.DECODE_TIMEOUT), KILLED_UNITS),
        (make_error_verdict(ErrorCode.DECODER_CRASHED), KILLED_UNITS),
    ],
    ids=["picture", "100 megapixels", "50 frames", "large frames", "container", "corrupt", "timeout", "crash"],
)
def test_and_then_by_what_was_in_it(verdict: Verdict, units: int) -> None:
    assert cost_of_verdict(verdict) == units


def test_a_minute_s_units_may_be_spent_at_once_and_come_back_within_a_minute() -> None:
    budget = DecodeBudget(60)
    assert spend(budget, "a") == 60
    assert spend(budget, "a", 10.0) == 10
    assert spend(budget, "a", 10_000.0) == 60


def test_one_sender_takes_nothing_from_another() -> None:
    budget = DecodeBudget(60)
    assert (spend(budget, "a"), spend(budget, "b")) == (60, 60)


def test_by_default_neither_pages_nor_albums_are_felt() -> None:
    budget = DecodeBudget()
    assert sum(budget.admits("page", 60_000, 0.0) for _ in range(PAGE_OF_PICTURES)) == PAGE_OF_PICTURES
    assert spend(budget, "album", size=PHOTOGRAPH) >= 350
    for number in range(400):
        assert budget.admits("animations", 900_000, number / 1000)
        budget.settle("animations", 900_000, of_frames(60), number / 1000)


def test_what_the_verdict_says_more_is_charged_late() -> None:
    budget = DecodeBudget(60)
    assert budget.admits("a", 1, 0.0)
    budget.settle("a", 1, of_frames(50), 0.0)
    assert spend(budget, "a") == 60 - 13


def test_nothing_is_given_back() -> None:
    budget = DecodeBudget(60)
    assert budget.admits("a", 10 * UNIT_BYTES, 0.0)
    budget.settle("a", 10 * UNIT_BYTES, make_verdict(), 0.0)
    assert spend(budget, "a") == 50


def test_a_debt_is_no_larger_than_the_bucket() -> None:
    budget = DecodeBudget(60)
    for _ in range(10):
        budget.settle("a", 1, make_error_verdict(ErrorCode.DECODE_TIMEOUT), 0.0)
    assert spend(budget, "a", 60.0) == 0
    assert spend(budget, "a", 120.0) == 60


def test_an_object_larger_than_the_bucket_is_taken_while_it_is_full() -> None:
    budget = DecodeBudget(60)
    assert budget.admits("a", 128 << 20, 0.0)
    assert not budget.admits("a", 1, 0.0)


def test_a_clock_that_goes_back_fills_nothing() -> None:
    budget = DecodeBudget(60)
    spend(budget, "a", 100.0)
    assert spend(budget, "a", 50.0) == 0
    assert spend(budget, "a", 101.0) == 1


def test_buckets_are_bounded_and_the_one_idle_for_longest_goes() -> None:
    budget = DecodeBudget(60, buckets=2)
    spend(budget, "a")
    spend(budget, "b")
    assert not budget.admits("a", 1, 0.0)
    assert budget.admits("c", 1, 0.0)
    assert len(budget) == 2
    assert not budget.admits("a", 1, 0.0)
    assert budget.admits("b", 1, 0.0), "its bucket is new"


@pytest.mark.parametrize(
    ("actor", "sender"),
    [
        (Actor(user="Alice", ip="192.0.2.7"), "user alice"),
        (Actor(ip="192.0.2.7"), "ip 192.0.2.7"),
        (Actor(ip="::ffff:192.0.2.7"), "ip 192.0.2.7"),
        (Actor(ip="2001:db8::1:2"), "ip 2001:db8::/64"),
        (Actor(ip="2001:db8::ffff"), "ip 2001:db8::/64"),
        (Actor(ip="fe80::1%eth0"), "ip fe80::/64"),
        (Actor(ip="a socket"), "ip a socket"),
        (Actor(), "ip "),
    ],
)
def test_a_sender_is_a_user_else_an_address(actor: Actor, sender: str) -> None:
    assert sender_of(actor) == sender
