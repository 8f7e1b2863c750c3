"""Ways to name a picture, in a space where what is near is known."""

import numpy as np
import pytest

from tests.classifier_factories import LENGTH, make_bank, make_examples, make_rows
from workers.classifying.calibration import NAMED_SCORE
from workers.evaluation.classifiers_methods import METHODS, Method, by_neighbours

EXAMPLES = make_examples("form", make_rows(20, 0)) + make_examples("plan", make_rows(20, 1), start=20)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_tells_the_labels_from_each_other_and_from_other(method: Method) -> None:
    scores = method.taught(EXAMPLES, make_bank(), 8)
    form, plan, other = (scores(method.rows(make_rows(40, axis, seed=3, noise=0.15), 8)) for axis in (0, 1, 5))
    assert form.shape == (40, 2)
    assert (form.argmax(axis=1) == 0).mean() > 0.95
    assert (plan.argmax(axis=1) == 1).mean() > 0.95
    assert (form.max(axis=1) >= NAMED_SCORE).mean() > 0.7
    assert (other.max(axis=1) >= NAMED_SCORE).mean() < 0.1


def test_the_encoder_alone_is_blind_to_the_rest_of_a_row() -> None:
    rows = make_rows(10, 0, seed=3)
    changed = rows.copy()
    changed[:, 8:] += 5
    for method in METHODS:
        scores = method.taught(EXAMPLES, make_bank(), 8)
        same = np.array_equal(scores(method.rows(rows, 8)), scores(method.rows(changed, 8)))
        assert same is not method.handmade


def test_one_stray_example_moves_the_nearest_neighbour_and_not_the_mean_of_three() -> None:
    stray = make_examples("form", make_rows(1, 6, noise=0), start=99)
    seen = make_rows(1, 6, noise=0)
    bank = make_bank(axes=(5, 8, 9))
    one, three = (by_neighbours(EXAMPLES + stray, bank, nearest=nearest)(seen)[0, 0] for nearest in (1, 3))
    assert one > NAMED_SCORE
    assert three < one


def test_a_label_of_fewer_examples_than_are_asked_has_the_mean_of_all() -> None:
    scores = by_neighbours(make_examples("form", make_rows(2, 0)), make_bank(), nearest=3)(make_rows(5, 0, seed=4))
    assert scores.shape == (5, 1)
    assert np.isfinite(scores).all()
    assert LENGTH == 16
