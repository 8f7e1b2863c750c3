"""Three strengths of each transformation, and the table a search gives over them."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from tests.image_factories import make_picture
from workers.evaluation.strengths import STRENGTHS, Sighting, edits_of, robustness
from workers.transformations import canonical


def distance(first: Image.Image, second: Image.Image) -> float:
    return float(np.abs(np.asarray(first, np.float32) - np.asarray(second.resize(first.size), np.float32)).mean())


def test_every_transformation_has_three_named_strengths() -> None:
    assert len(STRENGTHS) >= 24
    assert {name: len({label for label, _ in steps}) for name, steps in STRENGTHS.items()} == dict.fromkeys(
        STRENGTHS, 3
    )


@pytest.mark.parametrize("name", ["jpeg", "resize", "brighter", "darker", "blur", "noise", "caption", "emoji"])
def test_stronger_is_further_from_the_picture(name: str) -> None:
    picture = canonical(make_picture(seed=5))
    edited = [image for n, _, _, image in edits_of([make_picture(seed=5)]) if n == name]
    away = [distance(picture, image) for image in edited]
    assert away == sorted(away)
    assert away[0] > 0


def test_edits_are_the_same_for_the_same_seed() -> None:
    runs = [[image.tobytes() for *_, image in edits_of([make_picture()], seed=seed)] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_the_table_counts_what_the_search_says() -> None:
    asked: Counter[int] = Counter()

    def search(number: int, _edited: Image.Image) -> Sighting:
        asked[number] += 1
        return Sighting(matched=number == 0, score=90.0 if number == 0 else 40.0)

    rows = robustness([make_picture(seed=1), make_picture(60, 40, seed=2)], search)
    assert asked == {0: len(rows), 1: len(rows)}
    assert len(rows) == 3 * len(STRENGTHS)
    assert {(row.tried, row.matched, row.mean_score, row.lowest_score) for row in rows} == {(2, 1, 65.0, 40.0)}


def test_no_images_no_rows() -> None:
    assert robustness([], lambda _number, _edited: Sighting(matched=True, score=100.0)) == ()
