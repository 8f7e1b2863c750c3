"""How sure a label is."""

import numpy as np
import pytest

from workers.labels.scores import KNOTS, Precision, fit_precision


def test_a_score_is_the_precision_that_such_answers_had() -> None:
    rng = np.random.default_rng(1)
    cosines = rng.uniform(0, 1, (4000, 5)).astype(np.float32)
    right = rng.uniform(0, 1, cosines.shape) < cosines**2
    fitted = fit_precision(cosines, right)
    assert len(fitted.cosines) <= KNOTS + 1
    for cosine in (0.4, 0.6, 0.8, 0.95):
        assert fitted.scores(np.array([cosine], np.float32))[0] == pytest.approx(100 * cosine**2, abs=6)


def test_scores_never_fall_with_the_cosine() -> None:
    rng = np.random.default_rng(2)
    cosines = rng.normal(size=(300, 4)).astype(np.float32)
    fitted = fit_precision(cosines, rng.uniform(size=cosines.shape) < 0.1)
    scores = fitted.scores(np.linspace(-4, 4, 200, dtype=np.float32))
    assert (np.diff(scores) >= 0).all()
    assert scores.min() >= 0
    assert scores.max() <= 100


def test_answers_that_are_never_right_have_no_precision() -> None:
    with pytest.raises(ValueError, match="no image has any"):
        fit_precision(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.bool_))


def test_one_right_answer_is_enough() -> None:
    fitted = fit_precision(np.array([[0.9, 0.1]], np.float32), np.array([[True, False]]))
    assert fitted.scores(np.array([0.9, 0.1], np.float32)).tolist() == sorted(
        fitted.scores(np.array([0.9, 0.1], np.float32)).tolist(), reverse=True
    )


@pytest.mark.parametrize(
    ("cosines", "precisions"),
    [((), ()), ((0.1,), (0.1, 0.2)), ((0.2, 0.1), (0.1, 0.2)), ((0.1, 0.2), (0.2, 0.1)), ((0.1,), (1.1,))],
)
def test_what_is_no_precision_is_refused(cosines: tuple[float, ...], precisions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="precisions rise"):
        Precision(cosines=cosines, precisions=precisions)
