"""Labels as points: who is seen together lies together."""

import math

import numpy as np
import pytest

from workers.labels.space import LabelSpace, average_precision, make_space, nearest, positive_pmi, within

# Cats have paws, cars have wheels, and both stand in streets.
NAMES = ("cat", "paw", "car", "wheel", "street")
IMAGES = np.array(
    [[1, 1, 0, 0, 0], [1, 1, 0, 0, 1], [0, 0, 1, 1, 0], [0, 0, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]], np.bool_
)


def test_mutual_information_is_that_of_the_counts() -> None:
    pmi = positive_pmi(IMAGES)
    assert pmi[0, 1] == pytest.approx(math.log((3 / 6) / (3 / 6 * 3 / 6)))
    assert pmi[0, 0] == pytest.approx(-math.log(3 / 6))
    assert pmi[0, 2] == 0.0  # never together
    assert pmi[0, 4] == 0.0  # together less often than by chance
    assert (pmi == pmi.T).all()


def test_what_is_seen_together_lies_together() -> None:
    space = make_space(NAMES, IMAGES, 3)
    cosines = space.places() @ space.places().T
    assert cosines[0, 1] > 0.99
    assert abs(cosines[0, 2]) < 0.3


def test_an_image_lies_where_its_labels_point_together() -> None:
    space = make_space(NAMES, IMAGES, 3)
    targets = space.targets(IMAGES)
    assert np.linalg.norm(targets, axis=1) == pytest.approx(1.0)
    found = nearest((targets @ space.places().T).astype(np.float32), 2)
    assert found[0].tolist() == IMAGES[0].tolist()
    assert found[2].tolist() == IMAGES[2].tolist()


def test_an_image_without_labels_lies_at_the_pole_and_one_with_many_far_from_it() -> None:
    space = make_space(NAMES, IMAGES, 3)
    none, one, many = space.targets(np.array([[0] * 5, [1, 0, 0, 0, 0], [1, 1, 0, 0, 1]], np.bool_))
    assert none.tolist() == [0.0, 0.0, 0.0, 1.0]
    assert 1 > one[-1] > many[-1] > 0
    assert not space.places()[:, -1].any()
    assert np.linalg.norm(space.places(), axis=1) == pytest.approx(1.0)


def test_a_label_that_no_direction_tells_of_is_named() -> None:
    space = make_space(NAMES, IMAGES, 1)
    assert space.dimension == 2
    assert set(space.unreached()) < set(NAMES)
    assert make_space(NAMES, IMAGES, 50).unreached() == ()


def test_a_label_of_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="without an image"):
        positive_pmi(np.array([[1, 0]], np.bool_))


def test_a_space_has_one_point_a_name() -> None:
    with pytest.raises(ValueError, match="one point for each"):
        LabelSpace(names=("a", "a"), points=np.eye(2, dtype=np.float32), height=1.0)
    with pytest.raises(ValueError, match="no place at a height of 0"):
        LabelSpace(names=("a", "b"), points=np.eye(2, dtype=np.float32), height=0.0)


def test_nearest_and_within() -> None:
    cosines = np.array([[0.9, 0.2, 0.5], [0.1, 0.2, 0.3]], np.float32)
    assert nearest(cosines, 2).tolist() == [[True, False, True], [False, True, True]]
    assert nearest(cosines, 9).all()
    assert within(cosines, 0.5).tolist() == [[True, False, True], [False, False, False]]


def test_average_precision() -> None:
    presence = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]], np.bool_)
    scores = np.array([[0.9, 0.5, 0.1], [0.8, 0.5, 0.1], [0.7, 0.5, 0.1], [0.1, 0.5, 0.1]], np.float32)
    first, tied, absent = average_precision(scores, presence)
    assert first == pytest.approx((1 + 2 / 3) / 2)
    assert tied == pytest.approx((1 / 3 + 2 / 4) / 2)  # a constant answer earns the worst order
    assert np.isnan(absent)
