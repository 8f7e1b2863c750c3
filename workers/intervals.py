"""How far a share that was counted may be from the true one: exact binomial intervals, without SciPy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

CONFIDENCE: Final = 0.95
ITERATIONS: Final = 500
"""Of the continued fraction; it needs about the square root of the larger parameter."""
TINY: Final = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A share lies between ``low`` and ``high``, both 0..1."""

    low: float
    high: float


def clopper_pearson(count: int, tried: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the exact interval of a binomial share (Clopper and Pearson, Biometrika 26, 1934).

    It covers the true share in at least ``confidence`` of all experiments, half of the rest on either side.  Raises
    ValueError unless 0 <= count <= tried, 0 < tried and 0 < confidence < 1.
    """
    if not 0 <= count <= tried or tried == 0 or not 0 < confidence < 1:
        raise ValueError(f"{count} of {tried} with confidence {confidence} is no share")
    outside = (1 - confidence) / 2
    return Interval(
        low=0.0 if count == 0 else _beta_quantile(outside, count, tried - count + 1),
        high=1.0 if count == tried else _beta_quantile(1 - outside, count + 1, tried - count),
    )


def _beta_quantile(probability: float, a: float, b: float) -> float:
    if a == 1:
        return -math.expm1(math.log1p(-probability) / b)
    if b == 1:
        return math.exp(math.log(probability) / a)
    low, high = 0.0, 1.0
    for _ in range(60):  # to 1e-18
        middle = (low + high) / 2
        low, high = (middle, high) if incomplete_beta(a, b, middle) < probability else (low, middle)
    return (low + high) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b) for a, b > 0 and 0 <= x <= 1.

    Its continued fraction by Lentz's method (Press et al., Numerical Recipes, 3rd ed., section 6.4).
    """
    if x <= 0.0 or x >= 1.0:
        return min(1.0, max(0.0, x))
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side only
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x) - math.log(a)
    )
    return front * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 / _off_zero(1.0 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, ITERATIONS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = result
        for term in (even, odd):
            d = 1.0 / _off_zero(1.0 + term * d)
            c = _off_zero(1.0 + term / c)
            result *= c * d
        if abs(result - before) <= 1e-14 * abs(before):
            break
    return result


def _off_zero(value: float) -> float:
    return TINY if abs(value) < TINY else value
