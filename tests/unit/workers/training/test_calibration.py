"""From histograms of unrelated pairs to tables: monotone, measured where there are pairs, extrapolated where not."""

import json

import numpy as np
import pytest

from shared.core.matching import Calibration
from workers.training.calibration import (
    COSINE_BINS,
    FLOOR,
    PDQ_BITS,
    Pairs,
    Stratum,
    best_view,
    hamming,
    mixture,
    nearest_turn,
    survival,
    tables,
)

FISHER_Z = np.arctanh(np.clip(np.arange(COSINE_BINS + 1) / COSINE_BINS * 2 - 1, -0.9999, 0.9999))


def normal_stratum(spread: float, pairs: int = 1_000_000, seed: int = 0) -> Stratum:
    rng = np.random.default_rng(seed)
    stratum = Stratum.empty()
    cosines = np.clip(rng.normal(0.1, spread, (1, pairs)), -1, 1).astype(np.float32)
    distances = np.clip(rng.normal(120, 8, (1, pairs)), 0, PDQ_BITS).astype(np.int16)
    strengths = np.maximum(0, rng.normal(0.2, 0.5, (1, pairs))).astype(np.float32)
    measured = Pairs(cosines=cosines, views=cosines, distances=distances, local=strengths, layout=strengths)
    stratum.add(measured, np.ones((1, pairs), bool))
    return stratum


def test_the_measured_part_is_the_share_of_pairs() -> None:
    counts = np.array([900, 60, 40, 0])
    curve, start = survival(counts, np.arange(4.0))
    assert curve[:3] == pytest.approx(np.log10([1.0, 0.1, 0.04]))
    assert start == pytest.approx(np.log10(0.04))


def test_the_tail_goes_on_falling() -> None:
    curve, start = survival(normal_stratum(0.1).cosine, FISHER_Z)
    beyond = curve[curve < start]
    assert (np.diff(beyond) <= 0).all()
    assert beyond.min() == FLOOR


def test_evidence_that_hardly_any_pair_has_is_bounded_by_the_rule_of_three() -> None:
    counts = np.array([999_997, 2, 1, 0, 0])
    curve, start = survival(counts, np.array([0.0, 0.5, 1.0, 1.5, 2.5]))
    assert curve == pytest.approx([0.0, np.log10(6e-6), np.log10(4e-6), np.log10(4e-6) - 1, np.log10(4e-6) - 3])
    assert start == pytest.approx(np.log10(4e-6))
    none, _ = survival(np.array([1_000_000, 0, 0]), np.array([0.0, 0.5, 1.0]))
    assert none == pytest.approx([0.0, np.log10(3e-6), np.log10(3e-6) - 1])


def test_the_extrapolation_errs_on_the_safe_side() -> None:
    """A normal tail falls faster than the exponential one: at 6 sigma the table promises less than the truth."""
    curve, _ = survival(normal_stratum(0.1).cosine, FISHER_Z)
    at_six_sigma = round((0.1 + 6 * 0.1 + 1) / 2 * COSINE_BINS)
    assert curve[at_six_sigma] > -9.01


def test_look_alikes_set_the_bar() -> None:
    others, alike = normal_stratum(0.05), normal_stratum(0.15)
    together = Calibration.from_json(json.dumps(tables({"photo_other": others, "photo_look_alike": alike})))
    alone = Calibration.from_json(json.dumps(tables({"photo_look_alike": alike})))
    assert together.cosine.at(0.6) == pytest.approx(alone.cosine.at(0.6) - 1, abs=0.05)


def test_a_mixture_is_an_average_of_probabilities() -> None:
    curves = {"drawn_other": np.array([0.0, -2.0, -5.0]), "photo_other": np.array([0.0, -4.0, -5.0])}
    assert mixture(curves) == pytest.approx([0.0, np.log10((1e-2 + 1e-4) / 2), -5.0])


def test_the_tables_load_as_the_product_reads_them() -> None:
    stratum = normal_stratum(0.1)
    calibration = Calibration.from_json(json.dumps(tables({"photo_other": stratum})))
    assert calibration.pairs == 1_000_000
    assert calibration.cosine.at(0.9) < calibration.cosine.at(0.3)
    assert calibration.pdq.at(10) < calibration.pdq.at(100)


def test_only_wanted_pairs_count_and_of_those_only_what_was_looked_at() -> None:
    stratum = Stratum.empty()
    strengths = np.array([[np.nan, 1.0], [2.0, np.nan]], np.float32)
    pairs = Pairs(
        cosines=np.eye(2, dtype=np.float32),
        views=np.eye(2, dtype=np.float32),
        distances=np.zeros((2, 2), np.int16),
        local=strengths,
        layout=strengths,
    )
    stratum.add(pairs, ~np.eye(2, dtype=bool))
    assert stratum.cosine.sum() == stratum.views.sum() == stratum.pdq.sum() == 2
    assert stratum.local.sum() == stratum.layout.sum() == 2
    stratum.add(pairs, np.eye(2, dtype=bool))
    assert stratum.cosine.sum() == 4
    assert stratum.local.sum() == 2


def test_the_nearest_view_is_told_by_signs_and_the_whole_picture_takes_no_part() -> None:
    rng = np.random.default_rng(0)
    views = rng.standard_normal((3, 4, 512)).astype(np.float32)
    best = best_view(np.stack([views[1, 2], views[2, 0]]), views)
    assert best[0, 1] == pytest.approx(1.0)
    assert best[1, 2] < 0.5


def test_hamming_counts_bits() -> None:
    first = np.array([[0xFF, 0x00]], np.uint8)
    second = np.array([[0xFF, 0x00], [0x0F, 0x01]], np.uint8)
    assert hamming(first, second).tolist() == [[0, 5]]


def test_the_nearest_turn_counts() -> None:
    variants = np.array([[[0xFF], [0x0F]]], np.uint8)
    assert nearest_turn(variants, np.array([[0x0F]], np.uint8)).tolist() == [[0]]
