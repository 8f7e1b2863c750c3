"""Exactness: a copy that was recoded against one with something changed; likelihoods under any prior."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from shared.errors import IntegrityError
from workers.closer_look.block_raster import Plane
from workers.closer_look.block_sketch import make_sketch
from workers.closer_look.exactness import LIMIT, exactness, same_content
from workers.decoding.pixels import canonical, grey_plane
from workers.training.drawing import draw

CARD = draw("identity_card", 3, size=(800, 520))
ratios = st.floats(-LIMIT, LIMIT)
priors = st.floats(1e-6, 1 - 1e-6)


def plane_of(image: Image.Image) -> Plane:
    return np.asarray(grey_plane(canonical(image, 1)))


def test_a_smaller_copy_is_the_same_and_a_changed_one_less_so() -> None:
    sketch = make_sketch(plane_of(CARD))
    smaller = CARD.resize((500, 325), Image.Resampling.LANCZOS)
    changed = CARD.copy()
    ImageDraw.Draw(changed).rectangle((380, 240, 450, 290), fill=(250, 250, 250), outline=(0, 0, 0))
    same, other = (exactness(plane_of(image), sketch) for image in (smaller, changed))
    assert same > 0 > other


def test_another_picture_and_another_shape_are_not_the_same() -> None:
    sketch = make_sketch(plane_of(CARD))
    assert exactness(plane_of(draw("identity_card", 4, size=(800, 520))), sketch) < -1
    assert exactness(plane_of(CARD.crop((0, 0, 600, 520))), sketch) == -LIMIT


def test_foreign_bytes_and_shapes_are_named() -> None:
    with pytest.raises(IntegrityError):
        exactness(plane_of(CARD), b"not a sketch")
    with pytest.raises(ValueError, match="plane"):
        exactness(np.zeros((4, 4, 3), np.uint8), make_sketch(plane_of(CARD)))


@settings(deadline=None)
@given(ratios, priors)
def test_a_likelihood_is_bayes_rule(ratio: float, prior: float) -> None:
    odds = math.exp(ratio) * prior / (1 - prior)
    assert same_content(ratio, prior) == pytest.approx(odds / (1 + odds), rel=1e-6)


@settings(deadline=None)
@given(st.lists(ratios, min_size=2, max_size=5), priors)
def test_more_evidence_is_never_less_likely(values: list[float], prior: float) -> None:
    assert all(a <= b for a, b in pairwise(same_content(value, prior) for value in sorted(values)))


@pytest.mark.parametrize("prior", [0.0, 1.0, -1.0, math.nan])
def test_a_prior_is_a_probability(prior: float) -> None:
    with pytest.raises(ValueError, match="prior"):
        same_content(0.0, prior)
