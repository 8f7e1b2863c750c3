"""Local features alone find a crop and a paste, and name nothing for a stranger."""

import random

from PIL import Image

from workers import transformations as to
from workers.evaluation.local_method import LocalFeaturesAlone
from workers.evaluation.methods import Sample
from workers.training.drawing import draw


def picture(seed: int) -> Image.Image:
    return to.canonical(draw("poster", seed))


def test_crops_pastes_and_mirrors_are_found_and_strangers_are_not() -> None:
    method = LocalFeaturesAlone()
    for seed in range(4):
        method.enrol(Sample(picture(seed)))
    method.ready()
    rng = random.Random(1)
    for edited in (
        to.crop(picture(2), rng, 0.4),
        to.screenshot(picture(2), rng, 0.5),
        picture(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ):
        ranking = method.query(Sample(edited))
        assert ranking.numbers[0] == 2
        assert ranking.scores[0] >= 10
    assert len(method.query(Sample(Image.new("RGB", (300, 200), "white"))).numbers) == 0
