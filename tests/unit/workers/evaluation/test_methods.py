"""Baselines and single measures: the picture itself comes first, and a method's own invariances hold."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.evaluation_doubles import PixelEncoder
from tests.image_factories import make_picture
from workers.evaluation.figures import NONE
from workers.evaluation.methods import (
    CANDIDATES,
    Embedding,
    Method,
    Pdq,
    PHash,
    Ranking,
    Sample,
    best_of,
    stacked,
)
from workers.transformations import jpeg

METHODS = (PHash, lambda: Pdq(turns=False), lambda: Pdq(turns=True), lambda: Embedding("pixels", PixelEncoder()))


def filled(method: Method, count: int = 12) -> Method:
    for seed in range(count):
        method.enrol(Sample(make_picture(seed=seed)))
    method.ready()
    return method


@pytest.mark.parametrize("make", METHODS)
def test_a_recompressed_picture_finds_itself(make: type[PHash]) -> None:
    ranking = filled(make()).query(Sample(jpeg(make_picture(seed=7), 50)))
    assert ranking.numbers[0] == 7
    assert len(ranking.numbers) == CANDIDATES
    assert (np.diff(ranking.scores) <= 0).all()


def test_only_the_eight_variants_see_through_a_mirror() -> None:
    mirrored = Sample(ImageOps.mirror(make_picture(seed=3)))
    with_turns, without = (filled(Pdq(turns=turns)).query(mirrored) for turns in (True, False))
    assert with_turns.numbers[0] == 3
    assert with_turns.scores[0] > -10
    assert without.scores[0] < -60


def test_views_find_a_crop_better() -> None:
    whole = make_picture(400, 300, seed=2)
    cut = Sample(whole.crop((0, 0, 310, 232)))
    plain, views = (filled(Embedding("pixels", PixelEncoder(), views=on)) for on in (False, True))
    assert views.query(cut).numbers[0] == 2
    assert views.query(cut).scores[0] > plain.query(cut).scores[0]


def test_equal_similarities_keep_the_order_of_enrolment() -> None:
    assert best_of(np.array([0.5, 0.9, 0.5, 0.9]), 3).numbers.tolist() == [1, 3, 0]


def test_short_rankings_are_filled_up() -> None:
    numbers, scores = stacked([Ranking(np.array([4]), np.array([0.5])), Ranking(np.empty(0, np.int64), np.empty(0))])
    assert numbers.shape == scores.shape == (2, CANDIDATES)
    assert numbers[0, :2].tolist() == [4, NONE]
    assert scores[1].max() == -np.inf


def test_a_reference_counts_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        stacked([Ranking(np.array([4, 4]), np.array([0.5, 0.4]))])


def test_a_sample_is_a_file_of_the_same_pixels() -> None:
    picture = make_picture(30, 20)
    with Image.open(io.BytesIO(Sample(picture).data)) as again:
        assert again.convert("RGB").tobytes() == picture.tobytes()
