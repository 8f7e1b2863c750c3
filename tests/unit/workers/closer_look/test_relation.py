"""Copy or same layout: the shipped model's direction, its edges, and foreign models."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import IntegrityError
from workers.closer_look.block_agreement import Agreement
from workers.closer_look.geometry import Geometry
from workers.closer_look.relation import MODEL, copy_probability, read_model

GEOMETRY = Geometry(
    inliers=40,
    weight=40.0,
    matrix=np.eye(2, 3),
    mirrored=False,
    image_region=(0, 0, 512, 362),
    reference_region=(0, 0, 100, 100),
    coverage=1.0,
)
COPY = Agreement(
    comparable=700,
    content=300,
    share=0.98,
    content_share=0.96,
    differing=0.02,
    likeness=0.97,
    spread=0.2,
    gain=1.0,
    fine=True,
)
OTHER = replace(COPY, share=0.6, content_share=0.35, differing=0.6, likeness=0.2, spread=1.0, usual=9.0)
FILLED_IN = replace(COPY, content_share=0.93, patches=9, elsewhere=0.06)
shares = st.floats(0, 1)


def test_agreement_tells_a_copy_from_the_same_layout() -> None:
    assert copy_probability(GEOMETRY, COPY) > 0.8
    assert copy_probability(GEOMETRY, OTHER) < 0.2
    assert copy_probability(GEOMETRY, FILLED_IN) < 0.5


def test_an_image_too_blurred_to_tell_is_taken_for_a_copy() -> None:
    assert copy_probability(GEOMETRY, replace(OTHER, legible=False)) > 0.8


def test_without_blocks_the_geometry_decides() -> None:
    few = replace(GEOMETRY, inliers=5)
    assert copy_probability(few, None) < copy_probability(GEOMETRY, None)
    assert copy_probability(GEOMETRY, None) == copy_probability(GEOMETRY, replace(OTHER, content=2))


@settings(deadline=None)
@given(shares, shares)
def test_more_agreement_is_never_less_of_a_copy(first: float, second: float) -> None:
    low, high = sorted((first, second))
    for name, better, worse in (
        ("content_share", high, low),
        ("likeness", high, low),
        ("differing", low, high),
        ("elsewhere", low, high),
        ("usual", 1 + low, 1 + high),
        ("patches", round(9 * low), round(9 * high)),
    ):
        changes: list[dict[str, Any]] = [{name: better}, {name: worse}]
        better_one, worse_one = (replace(COPY, **change) for change in changes)
        assert copy_probability(GEOMETRY, better_one) >= copy_probability(GEOMETRY, worse_one)


@pytest.mark.parametrize("spoil", ["not json", "[]", "{}", '{"inside": 3, "geometry": 4}'])
def test_foreign_text_is_named(spoil: str) -> None:
    with pytest.raises(IntegrityError):
        read_model(spoil)


def test_a_weight_of_the_wrong_sign_is_refused() -> None:
    model = json.loads(MODEL.read_text())
    model["inside"]["weights"][model["inside"]["features"].index("content_share")] = -1.0
    with pytest.raises(IntegrityError):
        read_model(json.dumps(model))
