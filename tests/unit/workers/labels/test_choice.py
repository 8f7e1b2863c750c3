"""Which labels an image is given."""

import numpy as np
import pytest

from workers.labels.choice import DEFAULT_CHOICE, MOST, Choice, changed

COSINES = np.array([[0.9, 0.5, 0.1, 0.7]], np.float32)
SCORES = np.array([[80.0, 55.0, 10.0, 80.0]])


@pytest.mark.parametrize(
    ("choice", "given"),
    [
        (Choice(nearest=2, within=0), [0, 3]),
        (Choice(nearest=1, within=0), [0]),  # of equal scores the nearer one
        (Choice(nearest=MOST, within=50), [0, 1, 3]),
        (Choice(nearest=2, within=50), [0, 3]),
        (Choice(nearest=MOST, within=81), []),
        (Choice(nearest=MOST, within=0), [0, 1, 2, 3]),
    ],
)
def test_the_nearest_that_are_sure_enough_are_given(choice: Choice, given: list[int]) -> None:
    assert np.flatnonzero(choice.chosen(COSINES, SCORES)[0]).tolist() == given


def test_a_part_of_it_may_be_said_otherwise() -> None:
    assert changed(DEFAULT_CHOICE, None, None) == DEFAULT_CHOICE
    assert changed(DEFAULT_CHOICE, 3, None) == Choice(nearest=3, within=DEFAULT_CHOICE.within)
    assert changed(DEFAULT_CHOICE, None, 0.0) == Choice(nearest=MOST, within=0.0)


@pytest.mark.parametrize(("nearest", "within"), [(0, 50), (MOST + 1, 50), (5, -1), (5, 101), (5, float("nan"))])
def test_out_of_range_there_is_no_choice(nearest: int, within: float) -> None:
    with pytest.raises(ValueError, match="is given 1 to"):
        Choice(nearest=nearest, within=within)
