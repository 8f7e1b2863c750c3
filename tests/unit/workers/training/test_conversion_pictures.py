"""What both encoders see of pictures, and which pictures those are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.image_factories import make_picture_files
from workers.decoding.reference_views import VIEWS
from workers.training.conversion_pictures import VIEWS_SEEN, held_out_items, look, training_items
from workers.training.dataset import DRAWN
from workers.training.edits import EDITS


class MeanColours:
    """An encoder of three numbers a picture."""

    def __init__(self, side: int) -> None:
        self.side = side

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        squares = np.stack([np.frombuffer(square, np.uint8).reshape(self.side, self.side, 3) for square in pixels])
        return squares.mean(axis=(1, 2)).astype(np.float32)


def quiet(_: str) -> None:
    """Report nothing."""


@pytest.mark.parametrize(
    ("every_view", "views", "squares"),
    [(True, len(VIEWS) - 1, len(VIEWS) + len(EDITS)), (False, VIEWS_SEEN, 1 + VIEWS_SEEN + 2)],
)
def test_both_encoders_see_the_same_squares_each_at_its_side(every_view: bool, views: int, squares: int) -> None:
    items = training_items(None, None, 3)
    seen = look(items, MeanColours(16), MeanColours(32), every_view=every_view, seed=0, report=quiet)
    assert seen.source.shape == seen.target.shape == (3, squares, 3)
    assert seen.views == views
    assert np.abs(seen.source - seen.target).max() < 16
    assert np.ptp(seen.source, axis=1).max() > 1


def test_the_same_seed_sees_the_same() -> None:
    first, second, third = (
        look(training_items(None, None, 2), MeanColours(16), MeanColours(16), every_view=False, seed=seed, report=quiet)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first.source, second.source)
    assert not np.array_equal(first.source, third.source)
    assert np.array_equal(first.swapped().target, first.source)
    assert first.part(slice(1, None)).source.shape[0] == 1


def test_no_picture_is_trained_on_and_measured_on(tmp_path: Path) -> None:
    make_picture_files(tmp_path, 24)
    trained, unseen = (list(items(None, tmp_path, 100)) for items in (training_items, held_out_items))
    photographs = [[item.image.tobytes() for item in part if item.source != DRAWN] for part in (trained, unseen)]
    assert len(photographs[0]) + len(photographs[1]) == 24
    assert not set(photographs[0]) & set(photographs[1])
    assert all(photographs)
    drawn = [[item.image.tobytes() for item in part if item.source == DRAWN] for part in (trained, unseen)]
    assert len(drawn[0]) == round(len(photographs[0]) / 3)
    assert not set(drawn[0]) & set(drawn[1])


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_no_more_pictures_than_asked_for(tmp_path: Path, count: int) -> None:
    make_picture_files(tmp_path, 24)
    assert len(list(training_items(None, tmp_path, count))) == count


def test_without_pictures_there_are_drawings(tmp_path: Path) -> None:
    assert [item.source for item in training_items(None, None, 5)] == [DRAWN] * 5
    with pytest.raises(FileNotFoundError, match="no archives"):
        next(training_items(tmp_path, None, 5))
    with pytest.raises(ValueError, match="no pictures"):
        look(iter(()), MeanColours(16), MeanColours(16), every_view=True, seed=0, report=quiet)
