"""Exact binomial intervals against closed forms and against the binomial distribution itself."""

import math

import pytest

from workers.intervals import clopper_pearson, incomplete_beta


@pytest.mark.parametrize("tried", [1, 7, 300, 1912, 1_000_000])
def test_none_seen_bounds_as_its_closed_form_says(tried: int) -> None:
    interval = clopper_pearson(0, tried)
    assert interval.low == 0.0
    assert interval.high == pytest.approx(1 - 0.025 ** (1 / tried), rel=1e-9)
    mirrored = clopper_pearson(tried, tried)
    assert mirrored.low == pytest.approx(0.025 ** (1 / tried), rel=1e-9)
    assert mirrored.high == 1.0


def at_least(count: int, tried: int, share: float) -> float:
    return math.fsum(math.comb(tried, k) * share**k * (1 - share) ** (tried - k) for k in range(count, tried + 1))


@pytest.mark.parametrize(("count", "tried"), [(1, 10), (3, 40), (25, 50), (199, 200)])
def test_the_ends_are_where_the_count_becomes_unlikely(count: int, tried: int) -> None:
    interval = clopper_pearson(count, tried)
    assert at_least(count, tried, interval.low) == pytest.approx(0.025, rel=1e-6)
    assert 1 - at_least(count + 1, tried, interval.high) == pytest.approx(0.025, rel=1e-6)


def test_it_covers_the_true_share() -> None:
    tried, share = 60, 0.07
    covered = math.fsum(
        at_least(count, tried, share) - at_least(count + 1, tried, share)
        for count in range(tried + 1)
        if clopper_pearson(count, tried).low <= share <= clopper_pearson(count, tried).high
    )
    assert covered >= 0.95


def test_large_counts_end_in_the_normal_interval() -> None:
    interval = clopper_pearson(300_000, 1_000_000)
    half = 1.96 * math.sqrt(0.3 * 0.7 / 1e6)
    assert interval.low == pytest.approx(0.3 - half, abs=2e-6)
    assert interval.high == pytest.approx(0.3 + half, abs=2e-6)


@pytest.mark.parametrize(("count", "tried", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (0, 0, 0.95), (1, 5, 1.0)])
def test_what_is_no_share_is_refused(count: int, tried: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="no share"):
        clopper_pearson(count, tried, confidence)


def test_the_beta_function_ends_at_0_and_1() -> None:
    assert [incomplete_beta(2, 3, x) for x in (-1.0, 0.0, 1.0, 2.0)] == [0.0, 0.0, 1.0, 1.0]
    assert incomplete_beta(1, 1, 0.3) == pytest.approx(0.3)
