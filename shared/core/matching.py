"""From what the matchers measured to the one number that thresholds act on.

Each measure (the cosine of the whole pictures, that of the nearest enrolled view, the PDQ distance, the agreement of
local features) is turned into the probability that an *unrelated* pair of images comes as near (from a table that is
measured once per encoder), fused, and corrected for the size of the set that was searched: the more references, the
likelier a chance hit.  ``score`` maps that probability to 0..100 so that 85 is one in 10,000 whatever the encoder
and the set.

Formulas, all in log10 and stable for tiny probabilities:

- pair: ``p = min(1, 4 min(p_cosine, p_views, p_pdq, p_local))``: four ways to match, hence Bonferroni's factor four;
- set: ``P = 1 - (1 - p)^n`` for a set of n references (the table of the views is measured against whole references,
  the best of their views, so several views a reference are no further chances);
- score: ``100 L / (L + 12/17)`` with ``L = -log10 P``: 0 at P = 1, 85 at P = 1e-4, 100 never.

Before that the cosine is discounted where the picture is a *hub*: one that lies nearer to a bank of ordinary pictures
than most do (noise, a page of text, a label) lies near any reference that looks like that, and says less by being
near one.  The discount is what the mean of its nearest cosines to the bank exceeds the usual.

Identical bytes score 100.  A picture with next to no information (a blank page) is near every other such picture, so
it counts by identical bytes only: the caller hands in no vector and no PDQ hash for it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt

from shared.core.nearest_few import NearestFew
from shared.errors import ConfigError

Floats = npt.NDArray[np.float64]

LOG10_FLOOR: Final = -30.0
"""No pair is rarer than this: a table measured on millions of pairs cannot vouch for more."""
MIN_PDQ_QUALITY: Final = 50
"""Below this a PDQ hash is no evidence (PDQ's own recommendation, of 100)."""
PDQ_BITS: Final = 256
LARGEST_COSINE: Final = 1.001
"""Rounding included."""
IDENTICAL_SCORE: Final = 100.0
LEAST_CHANCES: Final = 10
"""A set of fewer references is scored as one of ten: a picture unlike anything that was measured comes nearer than the
table says.  Costs next to no recall (held-out pages 1.0 to .975, nothing elsewhere)."""
HALF_SCORE: Final = 12 / 17
"""-log10 of the probability that scores 50; it puts 85 at exactly 1e-4."""
WAYS_TO_MATCH: Final = 4
EVEN_SPREAD: Final = (-math.log(-LOG10_FLOOR * math.log(10.0)), math.log(10.0))
"""The likelihood where nothing was measured: by chance -log10 P has the density ln 10 x 10^-L, copies spread evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFacts:
    """What scoring needs of an image set; ``size`` in references, the rest as in ``SetCreated``."""

    name: str
    threshold: float
    relation: Literal["copy", "any"] = "copy"
    size: int = 0
    thorough: bool | None = None
    prior: float = 0.01

    @property
    def chances(self) -> int:
        """How many references an unrelated image can hit by chance, a few more than a small set has."""
        return max(LEAST_CHANCES, self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """log10 of a probability over a measure: linear between the points, an exponential tail beyond them.

    ``xs`` ascend strictly, ``ys`` are <= 0 and monotone.  Beyond each end the curve goes on with the mean slope of
    the last decade there, clamped to LOG10_FLOOR..0.
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    _points: tuple[Floats, Floats] = field(init=False, repr=False, compare=False)
    _end_slopes: tuple[float, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.xs) < 2 or len(self.xs) != len(self.ys):
            raise ValueError("a curve needs at least two points")
        if not all(map(math.isfinite, (*self.xs, *self.ys))) or max(self.ys) > 0:
            raise ValueError("points must be finite, and log10 of a probability at most 0")
        if any(left >= right for left, right in zip(self.xs, self.xs[1:], strict=False)):
            raise ValueError("points must ascend")
        if sorted(self.ys) != list(self.ys) and sorted(self.ys, reverse=True) != list(self.ys):
            raise ValueError("the probability must be monotone")
        # Made once: a search asks ten times, and took a sixth of its time to make them anew.
        object.__setattr__(self, "_points", (np.array(self.xs), np.array(self.ys)))
        ends = _end_slope(self.xs, self.ys), _end_slope(self.xs[::-1], self.ys[::-1])
        object.__setattr__(self, "_end_slopes", ends)

    def at(self, x: npt.ArrayLike) -> Floats:
        """Return log10 of the probability at each ``x``, LOG10_FLOOR..0; NaN stays NaN."""
        x = np.asarray(x, dtype=np.float64)
        first, last = self._end_slopes
        y = np.interp(x, *self._points)
        y = np.where(x < self.xs[0], self.ys[0] + first * (x - self.xs[0]), y)
        y = np.where(x > self.xs[-1], self.ys[-1] + last * (x - self.xs[-1]), y)
        return np.minimum(np.maximum(y, LOG10_FLOOR), 0.0)

    def first_at_most(self, y: npt.ArrayLike) -> Floats:
        """Return the ``x`` from which on a curve that falls is at most each ``y``; -inf: everywhere, inf: nowhere.

        The clamp to LOG10_FLOOR..0 is not looked at: ``y`` lies within.
        """
        y = np.asarray(y, dtype=np.float64)
        (xs, ys), (first, last) = self._points, self._end_slopes
        passed = np.searchsorted(-ys, -y, side="left")  # the first point that is at most y
        right = np.clip(passed, 1, len(xs) - 1)
        left = right - 1
        with np.errstate(divide="ignore", invalid="ignore"):  # of a flat piece, which is passed nowhere
            x = xs[left] + (y - ys[left]) / (ys[right] - ys[left]) * (xs[right] - xs[left])
        x = np.where(passed == 0, xs[0] + (y - ys[0]) / first if first else -math.inf, x)
        return np.where(passed == len(xs), xs[-1] + (y - ys[-1]) / last if last else math.inf, x)


def _end_slope(xs: tuple[float, ...], ys: tuple[float, ...]) -> float:
    """Return the slope from the first point to the first one a decade away: one segment alone would be noise."""
    far = next((i for i in range(1, len(xs)) if abs(ys[i] - ys[0]) >= 1.0), len(xs) - 1)
    return (ys[far] - ys[0]) / (xs[far] - xs[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Background:
    """Ordinary pictures: ``bank`` is n x dimension, L2 = 1; a mean of ``nearest`` cosines to ``usual`` is usual.

    ``strata`` are the kinds of pictures in it and how many of each follow one another; empty where that is not known.
    """

    bank: npt.NDArray[np.float32]
    nearest: int
    usual: float
    strata: tuple[tuple[str, int], ...] = ()
    _few: NearestFew = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.bank.ndim != 2 or not 1 <= self.nearest <= len(self.bank):
            raise ValueError("a background bank needs at least as many vectors as are looked at")
        object.__setattr__(self, "_few", NearestFew.of(self.bank))

    def discount(self, vector: npt.NDArray[np.float32]) -> float:
        """Return what is taken off every cosine of this vector, >= 0."""
        return max(0.0, float(self._few.products(vector, self.nearest).mean()) - self.usual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How near unrelated pairs of an image and a reference come, measured for one encoder on ``pairs`` pairs.

    ``cosine``: probability of this cosine or more between the whole pictures.  ``views``: the same for the largest
    cosine with a view of the reference, as its signs tell it.  ``pdq``: probability of this distance or less, the
    smallest over the eight dihedral variants.  ``local``: probability of this strength of geometric agreement or more
    where the inside agrees too, ``layout``: the same whatever is inside.  A measure without a curve says nothing.
    ``likelihood``: intercept and slope of the log-odds of a copy over -log10 P, at even odds before.
    """

    cosine: Curve
    pdq: Curve
    views: Curve | None = None
    local: Curve | None = None
    layout: Curve | None = None
    likelihood: tuple[float, float] = EVEN_SPREAD
    pairs: int = 0
    background: Background | None = None

    def __post_init__(self) -> None:
        rising = [curve for curve in (self.cosine, self.views, self.local, self.layout) if curve is not None]
        if any(curve.ys[0] < curve.ys[-1] for curve in rising) or self.pdq.ys[0] > self.pdq.ys[-1]:
            raise ValueError("a higher cosine or a smaller distance cannot be more probable")

    @classmethod
    def from_json(cls, text: str, bank: npt.NDArray[np.float32] | None = None) -> Self:
        """Read ``{"cosine": [[c, log10_p], …], "pdq": [[d, log10_p], …], "pairs": n}``; raises ConfigError.

        ``views``, ``local`` and ``layout`` are curves too.  With ``"background": {"nearest": n, "usual": cosine}`` the
        ``bank`` it speaks of has to be handed in.
        """
        try:
            values = json.loads(text)
            background = None
            if "background" in values:
                if bank is None:
                    raise ValueError("it needs its background bank")
                facts = values["background"]
                background = Background(
                    bank=bank,
                    nearest=int(facts["nearest"]),
                    usual=float(facts["usual"]),
                    strata=tuple((str(name), int(size)) for name, size in facts.get("strata", ())),
                )
            return cls(
                cosine=_curve(values["cosine"]),
                pdq=_curve(values["pdq"]),
                views=_curve(values["views"]) if "views" in values else None,
                local=_curve(values["local"]) if "local" in values else None,
                layout=_curve(values["layout"]) if "layout" in values else None,
                likelihood=_pair(values.get("likelihood", EVEN_SPREAD)),
                pairs=int(values.get("pairs", 0)),
                background=background,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"the encoder's calibration cannot be used: {error!r}") from error

    def discount(self, vector: npt.NDArray[np.float32] | None) -> float:
        """Return what is taken off a vector's cosines before they are looked up; 0 for none."""
        return 0.0 if vector is None or self.background is None else self.background.discount(vector)

    def odds(self, score: float, prior: float) -> float:
        """Return how likely a match of this score is a copy, 0..1, where a share ``prior`` of the images are."""
        rarity = HALF_SCORE * score / max(100.0 - score, 1e-9)
        intercept, slope = self.likelihood
        return _sigmoid(intercept + slope * rarity + math.log(prior / (1.0 - prior)))

    def pair_log10(
        self, cosines: npt.ArrayLike, views: npt.ArrayLike, distances: npt.ArrayLike, local: npt.ArrayLike = math.nan
    ) -> Floats:
        """Return log10 of the rarest measure's probability for each pair; NaN stands for a measure that is missing.

        Arrays that broadcast to one shape; 0 where nothing was measured.
        """
        encoder, pdq, features = self.matcher_log10(cosines, views, distances, local)
        return as_log10(np.fmin(np.fmin(encoder, pdq), features))

    def matcher_log10(
        self, cosines: npt.ArrayLike, views: npt.ArrayLike, distances: npt.ArrayLike, local: npt.ArrayLike
    ) -> tuple[Floats, Floats, Floats]:
        """Return the same for each matcher alone, the encoder, PDQ, local features; NaN where it measured nothing."""
        encoder = self.cosine.at(cosines)
        if self.views is not None:
            encoder = np.fmin(encoder, self.views.at(views))
        features = np.asarray(math.nan) if self.local is None else self.local.at(local)
        return encoder, self.pdq.at(distances), features


def as_log10(rarest: Floats) -> Floats:
    """Return log10 of a probability, 0 where nothing was measured."""
    return np.asarray(np.where(np.isnan(rarest), 0.0, rarest), dtype=np.float64)


def _sigmoid(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds)) if log_odds > -700.0 else 0.0


def _pair(values: Any) -> tuple[float, float]:
    intercept, slope = (float(value) for value in values)
    if not math.isfinite(intercept) or not 0.0 < slope < math.inf:
        raise ValueError("the likelihood needs a finite intercept and a positive slope")
    return intercept, slope


def _curve(points: Any) -> Curve:
    return Curve(xs=tuple(float(x) for x, _ in points), ys=tuple(float(y) for _, y in points))


def fused_scores(rarest: npt.ArrayLike, chances: npt.ArrayLike) -> Floats:
    """Score pairs, 0..100, by ``Calibration.pair_log10``; ``chances`` >= 1 per pair."""
    pair = np.minimum(1.0, WAYS_TO_MATCH * 10.0 ** np.asarray(rarest, dtype=np.float64))
    with np.errstate(divide="ignore"):  # log1p(-1) is -inf, and expm1 of that the -1 that is wanted
        chance = -np.expm1(np.asarray(chances, dtype=np.float64) * np.log1p(-pair))
    rarity = 0.0 - np.log10(chance)  # not -0.0 where P is 1
    return np.asarray(np.maximum(0.0, 100.0 * rarity / (rarity + HALF_SCORE)), dtype=np.float64)


def needed_log10(score: float, chances: int) -> float:
    """Return the log10 of a single measure's probability at which a pair scores ``score``, not below LOG10_FLOOR.

    Where even certainty is enough (``score`` 0) it is 0.
    """
    rarity = HALF_SCORE * score / (100.0 - score) if score < 100.0 else math.inf
    chance = 10.0**-rarity
    if chance >= 1.0:
        return 0.0
    pair = -math.expm1(math.log1p(-chance) / chances)
    return max(LOG10_FLOOR, min(0.0, math.log10(pair / WAYS_TO_MATCH))) if pair > 0.0 else LOG10_FLOOR


def least_cosine(curve: Curve, log10_p: npt.ArrayLike) -> Floats:
    """Return a cosine just under every one that is as rare as ``log10_p`` by its curve; inf where none is.

    For each of an array of them; -inf where every cosine is.
    """
    wanted = np.asarray(log10_p, dtype=np.float64)
    # Half-precision embeddings give cosines good to about 1e-4: a pair at the edge must still be looked at.
    least = curve.first_at_most(wanted) - 2e-4
    always, never = curve.at(-LARGEST_COSINE) <= wanted, curve.at(LARGEST_COSINE) > wanted
    return np.asarray(np.where(always, -math.inf, np.where(never, math.inf, least)), dtype=np.float64)


def largest_distance(calibration: Calibration, log10_p: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Return the largest PDQ distance that is as rare as each ``log10_p``; -1 where none is."""
    rarity = calibration.pdq.at(np.arange(PDQ_BITS + 1))  # ascends, so the rare ones come first
    return np.asarray(np.searchsorted(rarity, np.asarray(log10_p) + 1e-9, side="right") - 1, dtype=np.intp)


def raw_score(cosine: float) -> float:
    """Return the angle's score (pi/2 - arccos(1 - D^2/2)) / (pi/2) x 100 with D = sqrt(2 - 2 cosine).

    100 for the same direction, 0 for a right angle, negative beyond; rounding past +-1 is clipped.
    """
    angle = math.acos(min(1.0, max(-1.0, cosine)))
    return (math.pi / 2 - angle) / (math.pi / 2) * 100.0


def exact_score(distance: int | None, *, identical: bool = False) -> float:
    """Return how far the pixels are the same, 0..1: 1 for identical bytes, else by the *upright* PDQ distance.

    128 of 256 bits differ between unrelated pictures, which is 0; None (no usable hash) is 0 too.
    """
    if identical:
        return 1.0
    return 0.0 if distance is None else max(0.0, 1.0 - distance / (PDQ_BITS / 2))
