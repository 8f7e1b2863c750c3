"""What goes into the bank, and what it does to pictures that resemble everything."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from workers.encoder import Encoder
from workers.pixels import squash
from workers.training.background import PER_GROUP, PER_SOURCE, ordinary
from workers.training.dataset import Item
from workers.training.drawing import FAMILIES, draw
from workers.training.drawing.plain import PLAIN, draw_plain

UNSEEN = 1_000_000
PIXEL = Image.new("RGB", (1, 1))


def items(source: str, groups: int, each: int) -> Iterator[Item]:
    for group in range(groups):
        for _ in range(each):
            yield Item(source=source, group=f"{source}/{group}", image=PIXEL)


def test_no_group_and_no_source_fills_the_bank() -> None:
    assert sum(1 for _ in ordinary(items("photos/pets", 1, 500))) == PER_GROUP
    assert sum(1 for _ in ordinary(items("photos/pets", 50, 20))) == PER_SOURCE
    assert sum(1 for _ in ordinary(items("classes/documents", 9, 500))) == 9 * PER_GROUP
    assert sum(1 for _ in ordinary(items("photos/tiny_imagenet64", 9, 9))) == 0


def test_noise_is_discounted_and_a_rich_drawing_is_not() -> None:
    encoder = Encoder.load()

    def discount(image: Image.Image) -> float:
        (vector,) = encoder.embed([squash(image, encoder.side, 1).tobytes()])
        return encoder.calibration.discount(vector)

    plain = {kind: np.mean([discount(draw_plain(kind, UNSEEN + seed)) for seed in range(4)]) for kind in PLAIN}
    assert plain["noise"] > 0.15
    assert plain["label"] > 0.1
    assert np.mean([discount(draw(family, 5)) for family in FAMILIES]) < 0.02
