"""What goes into the bank, and what it does to pictures that resemble everything."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from workers.decoding.pixels import squash
from workers.encoders.encoder import Encoder
from workers.training.background import PER_GROUP, PER_SOURCE, bank_pixels, ordinary
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
    rich = np.mean([discount(draw(family, 5)) for family in FAMILIES])
    assert min(plain["noise"], plain["text_page"], plain["label"]) > 2 * rich


def test_the_bank_says_what_its_pictures_are_of() -> None:
    pictures = iter([*items("classes/documents", 1, 2), *items("photos/grocery", 1, 1), *items("photos/pets", 1, 1)])
    squares = bank_pixels(pictures, 8, 1)
    assert squares.strata[:3] == [("documents", 2), ("products", 1), ("photographs", 1)]
    assert sum(size for _, size in squares.strata) == len(squares.pixels) == len(squares.kinds)
    assert {"documents", "UI", "photographs", "products"} <= set(squares.kinds)
