import itertools
import json
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from shared.core.matching import (
    LOG10_FLOOR,
    WAYS_TO_MATCH,
    Background,
    Calibration,
    Curve,
    SetFacts,
    exact_score,
    largest_distance,
    least_cosine,
    needed_log10,
    raw_score,
)
from shared.errors import ConfigError
from tests.index_factories import CALIBRATION, fused_score


def flat(log10_p: float) -> Calibration:
    """A calibration where every cosine has this probability, and no distance says anything."""
    return Calibration(cosine=Curve(xs=(0.0, 1.0), ys=(log10_p, log10_p)), pdq=Curve(xs=(0.0, 256.0), ys=(0.0, 0.0)))


def test_one_in_ten_thousand_scores_85() -> None:
    for chances in (1, 10, 10_000):
        # All ways to match and ``chances`` references share the one in 10,000.
        calibration = flat(math.log10(-math.expm1(math.log1p(-1e-4) / chances) / WAYS_TO_MATCH))
        assert fused_score(calibration, cosine=0.5, distance=None, chances=chances) == pytest.approx(85.0, abs=1e-6)


def test_certainty_scores_nothing_and_the_rarest_less_than_100() -> None:
    assert fused_score(flat(0.0), cosine=0.5, distance=None, chances=3) == 0.0
    assert 97.0 < fused_score(flat(-40.0), cosine=0.5, distance=None, chances=1) < 100.0


def test_without_evidence_there_is_no_score() -> None:
    assert fused_score(CALIBRATION, cosine=None, distance=None, chances=1) == 0.0


def test_the_rarer_measure_counts() -> None:
    by_cosine = fused_score(CALIBRATION, cosine=0.9, distance=None, chances=5)
    by_distance = fused_score(CALIBRATION, cosine=None, distance=80, chances=5)
    assert by_cosine > by_distance
    assert fused_score(CALIBRATION, cosine=0.9, distance=80, chances=5) == by_cosine
    assert fused_score(CALIBRATION, cosine=0.1, distance=80, chances=5) == by_distance


def test_tiny_probabilities_in_large_sets_stay_exact() -> None:
    score = fused_score(flat(-20.0), cosine=0.5, distance=None, chances=1_000_000)
    rarity = 20.0 - math.log10(4e6)
    assert score == pytest.approx(100 * rarity / (rarity + 12 / 17))


def test_between_points_the_curve_is_linear_and_beyond_them_a_tail() -> None:
    assert CALIBRATION.cosine.at(0.65) == pytest.approx(-3.5)
    assert CALIBRATION.cosine.at(1.0) == pytest.approx(-9.0)
    assert CALIBRATION.cosine.at(-1.0) == 0.0
    assert CALIBRATION.pdq.at(0) == pytest.approx(-9.0 - 3.0)
    assert CALIBRATION.pdq.at(256) == 0.0


def test_the_tail_takes_its_slope_from_a_whole_decade() -> None:
    # The last segment alone is noise: it would put cosine 1 at -30.
    curve = Curve(xs=(0.0, 0.89, 0.9), ys=(0.0, -4.0, -5.0 + 0.1))
    assert curve.at(1.0) == pytest.approx(-4.9 - 4.9 / 0.9 * 0.1)


def test_the_tail_ends_at_the_floor() -> None:
    assert Curve(xs=(0.0, 0.1), ys=(0.0, -9.0)).at(1.0) == LOG10_FLOOR


def test_a_calibration_is_read_from_json() -> None:
    text = json.dumps(
        {
            "cosine": [[0.0, -0.5], [0.9, -5]],
            "pdq": [[30, -6], [128, -0.3]],
            "pairs": 7,
            "extrapolated_below_log10_p": -6,
        }
    )
    calibration = Calibration.from_json(text)
    assert calibration.pairs == 7
    assert calibration.cosine.at(0.9) == -5.0
    assert calibration.pdq.at(30) == -6.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"cosine": [[0, 0]], "pdq": [[0, -1], [1, 0]]}',
        '{"cosine": [[0, 0], [0, -1]], "pdq": [[0, -1], [1, 0]]}',
        '{"cosine": [[0, -1], [1, 0]], "pdq": [[0, -1], [1, 0]]}',
        '{"cosine": [[0, 0], [1, -1]], "pdq": [[0, 0], [1, -1]]}',
        '{"cosine": [[0, 0], [1, -1]], "pdq": [[0, -1], [1, 1]]}',
        '{"cosine": [[0, 0], [0.5, -2], [1, -1]], "pdq": [[0, -1], [1, 0]]}',
        '{"cosine": [[0, 0], [1, NaN]], "pdq": [[0, -1], [1, 0]]}',
        '{"cosine": [[0, 0, 0], [1, -1, 0]], "pdq": [[0, -1], [1, 0]]}',
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="calibration"):
        Calibration.from_json(text)


@pytest.mark.parametrize(("score", "chances"), [(50.0, 1), (50.0, 10_000), (85.0, 1), (85.0, 300), (96.0, 7)])
def test_what_is_needed_for_a_score_gives_that_score(score: float, chances: int) -> None:
    calibration = flat(needed_log10(score, chances))
    assert fused_score(calibration, cosine=0.5, distance=None, chances=chances) == pytest.approx(score)


def test_nothing_is_needed_for_no_score_and_the_floor_for_100() -> None:
    assert needed_log10(0.0, 5) == 0.0
    assert needed_log10(100.0, 5) == LOG10_FLOOR


def test_the_reach_holds_every_pair_that_is_rare_enough() -> None:
    assert least_cosine(CALIBRATION.cosine, -5.0) == pytest.approx(0.8, abs=3e-4)
    assert least_cosine(CALIBRATION.cosine, -5.0) < 0.8
    assert least_cosine(CALIBRATION.cosine, 0.0) == -math.inf
    assert least_cosine(CALIBRATION.cosine, LOG10_FLOOR) == math.inf
    assert largest_distance(CALIBRATION, -6.0) == 80
    assert largest_distance(CALIBRATION, 0.0) == 256
    assert largest_distance(CALIBRATION, LOG10_FLOOR) == -1
    assert largest_distance(CALIBRATION, [-6.0, 0.0, LOG10_FLOOR]).tolist() == [80, 256, -1]
    assert least_cosine(CALIBRATION.cosine, [0.0, LOG10_FLOOR]).tolist() == [-math.inf, math.inf]


@pytest.mark.parametrize(
    ("cosine", "expected"), [(1.0, 100.0), (1.0000001, 100.0), (0.0, 0.0), (-1.0000001, -100.0), (0.97236992, 85.0)]
)
def test_the_raw_score_is_the_angle(cosine: float, expected: float) -> None:
    assert raw_score(cosine) == pytest.approx(expected, abs=1e-4)


def test_the_raw_score_is_the_formula_over_the_distance() -> None:
    distance = math.sqrt(2 - 2 * 0.6)
    expected = (math.pi / 2 - math.acos(1 - distance**2 / 2)) / (math.pi / 2) * 100
    assert raw_score(0.6) == pytest.approx(expected)


def test_the_exact_score_is_a_share_of_the_bits() -> None:
    assert exact_score(0) == 1.0
    assert exact_score(32) == 0.75
    assert exact_score(200) == 0.0
    assert exact_score(None) == 0.0
    assert exact_score(None, identical=True) == 1.0


def test_the_odds_rise_with_score_and_prior_and_are_even_where_copies_and_chance_are() -> None:
    priors = (1e-4, 0.01, 0.5)
    odds = [[CALIBRATION.odds(score, prior) for score in (0.0, 50.0, 70.0, 85.0, 100.0)] for prior in priors]
    assert all(row == sorted(row) for row in odds)
    for low, high in itertools.pairwise(odds):
        assert all(one < other for one, other in zip(low[:4], high[:4], strict=True))
    # -log10 P is 4 at 85; by the even spread the likelihood ratio is then 1e4 over 30 ln 10.
    ratio = 1e4 / (30 * math.log(10))
    assert CALIBRATION.odds(85.0, 0.5) == pytest.approx(ratio / (1 + ratio))
    assert odds[0][-1] == 1.0


def test_every_reference_is_a_chance_and_a_small_set_counts_as_ten() -> None:
    assert SetFacts(name="a", threshold=85.0).chances == 10
    assert SetFacts(name="a", threshold=85.0, size=10).chances == 10
    assert SetFacts(name="a", threshold=85.0, size=300).chances == 300


def test_a_picture_near_the_whole_bank_is_discounted_and_no_other() -> None:
    bank = np.eye(8, dtype=np.float32)[:4]
    background = Background(bank=bank, nearest=2, usual=0.5)
    calibration = replace(CALIBRATION, background=background)
    assert calibration.discount(np.eye(8, dtype=np.float32)[7]) == 0.0
    assert calibration.discount(np.array([0.6, 0.8, 0, 0, 0, 0, 0, 0], dtype=np.float32)) == pytest.approx(0.2)
    assert calibration.discount(None) == 0.0
    assert CALIBRATION.discount(bank[0]) == 0.0


@pytest.mark.parametrize(("bank", "nearest"), [(np.zeros((2, 8), np.float32), 3), (np.zeros(8, np.float32), 1)])
def test_a_bank_that_does_not_fit_is_refused(bank: npt.NDArray[np.float32], nearest: int) -> None:
    with pytest.raises(ValueError, match="bank"):
        Background(bank=bank, nearest=nearest, usual=0.5)


def test_a_calibration_that_needs_its_bank_does_not_do_without() -> None:
    text = json.dumps(
        {"cosine": [[0, -1], [1, -9]], "pdq": [[0, -9], [128, 0]], "background": {"nearest": 1, "usual": 0}}
    )
    with pytest.raises(ConfigError, match="bank"):
        Calibration.from_json(text)
    bank = np.eye(4, dtype=np.float32)
    assert Calibration.from_json(text, bank).discount(bank[0]) == 1.0


def test_views_and_local_features_count_where_they_have_a_curve() -> None:
    curve = Curve(xs=(0.0, 1.0), ys=(0.0, -20.0))
    richer = replace(CALIBRATION, views=curve, local=curve)
    assert fused_score(CALIBRATION, views=1.0, local=1.0, chances=1) == 0.0
    assert fused_score(richer, views=0.5, chances=1) == fused_score(richer, local=0.5, chances=1) > 90.0
    assert fused_score(richer, cosine=0.9, views=0.5, local=0.6, chances=1) == fused_score(richer, local=0.6, chances=1)


def test_a_curve_of_the_views_that_falls_the_wrong_way_is_refused() -> None:
    with pytest.raises(ValueError, match="more probable"):
        replace(CALIBRATION, views=Curve(xs=(0.0, 1.0), ys=(-2.0, 0.0)))
