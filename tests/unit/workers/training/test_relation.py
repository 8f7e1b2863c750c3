"""The relation model's training: what separates is learnt, what would pull the wrong way is not."""

import random
from dataclasses import replace

import numpy as np
import pytest

from workers.closer_look.block_agreement import Agreement
from workers.closer_look.geometry import Geometry
from workers.closer_look.relation import SIGNS
from workers.training.drawing.pairs import Bond, pair
from workers.training.relation import Case, case_of, copy_probabilities, fit, loss, table, train
from workers.training.relation_pairs import RESOLUTIONS, plane_of, verified

GEOMETRY = Geometry(
    inliers=30,
    weight=30.0,
    matrix=np.eye(2, 3),
    mirrored=False,
    image_region=(0, 0, 512, 362),
    reference_region=(0, 0, 100, 100),
    coverage=1.0,
)
BLOCKS = Agreement(
    comparable=700,
    content=300,
    share=0.9,
    content_share=0.9,
    differing=0.1,
    likeness=0.9,
    spread=0.5,
    gain=1.0,
    fine=True,
)


def made_up_cases(count: int = 200) -> list[Case]:
    rng = random.Random(1)
    cases = []
    for number in range(count):
        copy = number % 2 == 0
        share = rng.uniform(0.7, 1.0) if copy else rng.uniform(0.1, 0.6)
        agreement = replace(BLOCKS, content_share=share, differing=(1 - share) * 0.8, likeness=share - 0.05)
        geometry = replace(GEOMETRY, inliers=rng.randint(5, 30) if copy else rng.randint(20, 90))
        cases.append(Case(kind="copies" if copy else "forms", copy=copy, geometry=geometry, agreement=agreement))
    return cases


def test_what_separates_is_learnt() -> None:
    cases = made_up_cases()
    rows = table(cases, train(cases, 1e-3))
    assert rows["copies"]["called_copy"] >= 97
    assert rows["forms"]["called_copy"] <= 3
    assert rows["forms"]["is"] == "same_layout"


def test_no_weight_has_the_wrong_sign() -> None:
    names = ("content_share", "inliers")
    weights, _ = fit(made_up_cases(), names, 1e-3)
    assert weights[0] > 0
    assert weights[1] == 0  # here the forms have more inliers, and that must not count against a copy
    assert all(weight * SIGNS[name] >= 0 for name, weight in zip(names, weights, strict=True))


@pytest.mark.parametrize(("bond", "agrees"), [(Bond.RECODED, True), (Bond.OTHER_CONTENT, False)])
def test_a_drawn_pair_becomes_a_case(bond: Bond, agrees: bool) -> None:
    drawn = pair(bond, 5, resolutions=RESOLUTIONS)
    found = verified(str(bond), plane_of(drawn.first), plane_of(drawn.second), copy=agrees)
    assert found is not None
    assert (case_of(found).agreement.patches < 4) == agrees


def test_a_better_model_loses_less() -> None:
    cases = made_up_cases()
    good, poor = train(cases, 1e-3), train(cases, 1e-3)
    poor["inside"]["bias"] += 99
    assert loss(cases, good) < loss(cases, poor)
    assert all(copy_probabilities(cases, poor) > 0.5)


def test_what_is_illegible_is_a_copy_and_what_is_empty_rests_on_the_geometry() -> None:
    cases = made_up_cases()
    blurred, empty = (
        replace(cases[1], agreement=replace(BLOCKS, **part)) for part in ({"legible": False}, {"content": 0})
    )
    said = copy_probabilities([blurred, empty], train(cases, 1e-3))
    assert said[0] > 0.8
    assert 0 < said[1] < 1
