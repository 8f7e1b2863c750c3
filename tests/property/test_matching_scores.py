"""The score moves one way: up with every measure that says "nearer", down with the size of what was searched."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.matching import LOG10_FLOOR, Calibration, Curve, largest_distance, least_cosine
from tests.index_factories import fused_score, make_reference, make_set, make_vector
from tests.index_views import make_view

ROUNDING = 1e-9
cosines = st.floats(-1.0, 1.0)
distances = st.integers(0, 256)
chances = st.integers(1, 10_000_000)


@st.composite
def curves(draw: st.DrawFn, *, rising: bool, span: tuple[float, float]) -> Curve:
    count = draw(st.integers(2, 6))
    xs = draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count, unique=True).map(sorted))
    ys = sorted(draw(st.lists(st.floats(-20.0, 0.0), min_size=count, max_size=count)), reverse=not rising)
    low, high = span
    return Curve(xs=tuple(low + x / 1000 * (high - low) for x in xs), ys=tuple(ys))


calibrations = st.builds(
    Calibration, cosine=curves(rising=False, span=(-1.0, 1.0)), pdq=curves(rising=True, span=(0.0, 256.0))
)


@given(calibrations, cosines, cosines, distances | st.none(), chances)
def test_a_higher_cosine_never_lowers_the_score(
    calibration: Calibration, one: float, other: float, distance: int | None, count: int
) -> None:
    low, high = sorted((one, other))
    less = fused_score(calibration, cosine=low, distance=distance, chances=count)
    more = fused_score(calibration, cosine=high, distance=distance, chances=count)
    assert 0.0 <= less <= more + ROUNDING <= 100.0


@given(calibrations, cosines | st.none(), distances, distances, chances)
def test_a_smaller_distance_never_lowers_the_score(
    calibration: Calibration, cosine: float | None, one: int, other: int, count: int
) -> None:
    near, far = sorted((one, other))
    more = fused_score(calibration, cosine=cosine, distance=near, chances=count)
    assert more + ROUNDING >= fused_score(calibration, cosine=cosine, distance=far, chances=count)


@given(calibrations, cosines, distances, chances, chances)
def test_a_larger_set_never_raises_the_score(
    calibration: Calibration, cosine: float, distance: int, one: int, other: int
) -> None:
    small, large = sorted((one, other))
    more = fused_score(calibration, cosine=cosine, distance=distance, chances=small)
    assert more + ROUNDING >= fused_score(calibration, cosine=cosine, distance=distance, chances=large)


@given(calibrations, cosines, st.floats(LOG10_FLOOR, 0.0))
def test_no_cosine_that_is_rare_enough_is_out_of_reach(calibration: Calibration, cosine: float, log10_p: float) -> None:
    if calibration.cosine.at(cosine) <= log10_p:
        assert cosine >= least_cosine(calibration.cosine, log10_p)


@given(curves(rising=False, span=(-1.0, 1.0)), st.lists(st.floats(LOG10_FLOOR, 0.0), max_size=4))
def test_the_reach_is_where_the_curve_passes(curve: Curve, log10_p: list[float]) -> None:
    for wanted, least in zip(log10_p, least_cosine(curve, log10_p).tolist(), strict=True):
        assert least == least_cosine(curve, wanted)
        low, high = -1.001, 1.001
        if curve.at(low) <= wanted or curve.at(high) > wanted:
            assert least == (-math.inf if curve.at(low) <= wanted else math.inf)
            continue
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if curve.at(middle) <= wanted else (middle, high)
        assert math.isclose(least, low - 2e-4, abs_tol=1e-9)


@given(calibrations, distances, st.floats(LOG10_FLOOR, 0.0))
def test_no_distance_that_is_rare_enough_is_out_of_reach(
    calibration: Calibration, distance: int, log10_p: float
) -> None:
    if calibration.pdq.at(distance) <= log10_p:
        assert distance <= largest_distance(calibration, log10_p)


@settings(deadline=None)
@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0), st.floats(0.0, 3.0), st.integers(0, 50))
def test_raising_a_threshold_never_adds_a_match(one: float, other: float, noise: float, seed: int) -> None:
    low, high = sorted((one, other))
    references = [make_reference(number) for number in range(5)]
    query = make_vector(seed % 5) + noise * make_vector(1000 + seed)
    query = (query / math.sqrt(float(query @ query))).astype(np.float32)

    def matched(threshold: float) -> set[str]:
        view = make_view(references, sets=[make_set(threshold=threshold)])
        (matches,) = view.search([view.probe("0" * 64, query)])
        return {match.reference for match in matches if match.matched}

    assert matched(high) <= matched(low)
