"""Thresholds from data: how often ordinary images match a set, and where its threshold has to be for a rate.

What is looked at is an image's *best score* in the set.  Its rarity ``L = -log10 P`` (the score's own scale, see
``shared.core.matching``) has an exponential tail where the calibration is right, so an exponential is fitted to the
excesses of the largest rarities over the next one (Hill, Annals of Statistics 3, 1975: the same estimator on P itself).

A rate below 3/n of the n images tried is never given as measured: with none seen, 3/n is the 95 % bound (Hanley and
Lippman-Hand, JAMA 249, 1983).  Below it the fitted tail speaks, for one decade beyond one in n; further down, or where
too few images come near the set at all for a fit, the calibration's own curve.  Both are marked ``extrapolated``, and
never leave the exact interval of the count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.core.matching import HALF_SCORE, LOG10_FLOOR
from workers.intervals import Interval, clopper_pearson

Scores = npt.NDArray[np.float64]

LEAST_COUNT: Final = 3
"""False matches from which a rate is measured: 3/n."""
TAIL_SHARE: Final = 0.05
LEAST_TAIL: Final = 20
"""Excesses that a tail is fitted to: this share of the images, and not fewer than this."""
REACH: Final = 10
"""A fit to n images speaks of rates down to 1/(10 n): what the next ten times as many images would have shown."""
STEPS: Final = 100
"""Thresholds are given in steps of 1/100."""
HIGHEST: Final = 9999
"""In steps: identical bytes score 100 and must match at any threshold that is suggested."""
PER: Final = 100_000
"""Alerts are expected per this many images."""


class Method(StrEnum):
    """Where a rate comes from."""

    MEASURED = "measured"
    TAIL = "tail"
    CALIBRATION = "calibration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many of ``tried`` images match at a threshold: ``count`` did, and ``estimate`` of all will.

    ``interval`` is the count's own, 95 %.
    """

    threshold: float
    count: int
    tried: int
    estimate: float
    interval: Interval
    method: Method

    @property
    def extrapolated(self) -> bool:
        """Tell whether the estimate is no measurement."""
        return self.method is not Method.MEASURED


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The best scores (0..100) of n ordinary images in one set.

    Scores below ``floor`` are not known but for being below; at least one image.
    """

    name: str
    scores: Scores
    floor: float

    def __post_init__(self) -> None:
        scores = self.scores
        if scores.ndim != 1 or len(scores) == 0 or not ((scores >= 0) & (scores <= 100)).all():
            raise ValueError("a trial needs scores of 0 to 100")

    @property
    def tried(self) -> int:
        """How many images."""
        return len(self.scores)

    @cached_property
    def _descending(self) -> Scores:
        return np.sort(self.scores)[::-1]

    @cached_property
    def tail(self) -> Tail | None:
        """The fitted tail; None where too few images came near."""
        return Tail.fit(rarity_of(self._descending[self._descending >= self.floor]), self.tried)

    def rate(self, threshold: float) -> Rate:
        """Return the rate of false matches at ``threshold``; it never rises with the threshold."""
        count = int((self.scores >= threshold).sum())
        interval = clopper_pearson(count, self.tried)
        share, method = count / self.tried, Method.MEASURED
        if count < LEAST_COUNT:
            share, method = self._extrapolate(threshold)
            share = min(max(share, interval.low), interval.high)
        return Rate(
            threshold=threshold, count=count, tried=self.tried, estimate=share, interval=interval, method=method
        )

    def _extrapolate(self, threshold: float) -> tuple[float, Method]:
        rarity = float(rarity_of(np.array([threshold]))[0])
        bound, calibrated = LEAST_COUNT / self.tried, 10.0**-rarity
        if self.tail is None:
            return min(bound, calibrated), Method.CALIBRATION
        fitted, beyond = self.tail.survival(rarity), min(calibrated, 1 / (REACH * self.tried))
        return (min(bound, fitted), Method.TAIL) if fitted >= beyond else (beyond, Method.CALIBRATION)

    def threshold_for(self, target: float) -> Rate:
        """Return the rate at the lowest threshold (in steps, not below ``floor``) whose estimate is within ``target``.

        It never falls as the target does.  Where not even the highest is within, the rate there.
        """
        low, high = min(HIGHEST, math.ceil(self.floor * STEPS)), HIGHEST
        while low < high:
            middle = (low + high) // 2
            if self.rate(middle / STEPS).estimate <= target:
                high = middle
            else:
                low = middle + 1
        return self.rate(low / STEPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The share ``share`` of all images has a rarity over ``start``; the excess over it is exponential, ``mean``."""

    share: float
    start: float
    mean: float

    @classmethod
    def fit(cls, descending: Scores, tried: int) -> Tail | None:
        """Fit to the largest of ``tried`` images' rarities, of which those that are known are given."""
        count = max(LEAST_TAIL, round(TAIL_SHARE * tried))
        count = min(count, len(descending) - 1)
        if count < LEAST_TAIL:
            return None
        start = float(descending[count])
        mean = float((descending[:count] - start).mean())
        return cls(share=count / tried, start=start, mean=max(mean, 1e-9))

    def survival(self, rarity: float) -> float:
        """Return the share of images with this rarity or more."""
        return self.share * math.exp(-max(0.0, rarity - self.start) / self.mean)


def rarity_of(scores: Scores) -> Scores:
    """Return ``-log10 P`` of scores, at most that of the rarest pair that the calibration knows."""
    with np.errstate(divide="ignore"):
        rarity = HALF_SCORE * scores / (100.0 - scores)
    return np.asarray(np.minimum(rarity, -LOG10_FLOOR), dtype=np.float64)


def calibrated_threshold(target: float) -> float:
    """Return the score that ``target`` of all unrelated images reach if the calibration is right, in steps upwards."""
    rarity = -math.log10(target)
    return min(HIGHEST, math.ceil(100.0 * rarity / (rarity + HALF_SCORE) * STEPS - 1e-9)) / STEPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a trial says: the rate at the present threshold, the threshold for the target, and strata by name.

    ``worst`` is the stratum with the highest present rate.
    """

    present: Rate
    target: Rate
    strata: Mapping[str, Rate]
    worst: str


def assess(pool: Trial, strata: Sequence[Trial], *, threshold: float, target: float) -> Finding:
    """Return what ``pool`` says of a set whose threshold is ``threshold``; ``strata`` are its parts, by name.

    Raises ValueError for a target off 0..1 (both excluded).
    """
    if not 0.0 < target < 1.0:
        raise ValueError(f"a rate of false matches lies between 0 and 1, not at {target}")
    rates = {stratum.name: stratum.rate(threshold) for stratum in strata}
    worst = max(rates, key=lambda name: (rates[name].estimate, rates[name].interval.high), default=pool.name)
    return Finding(present=pool.rate(threshold), target=pool.threshold_for(target), strata=rates, worst=worst)
