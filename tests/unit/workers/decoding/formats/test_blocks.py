"""Strips averaged over blocks are what averaging the whole gives, wherever they are cut and wherever they lie."""

import numpy as np
import pytest
from PIL import Image

from tests.image_factories import make_picture
from workers.decoding.formats.blocks import (
    LARGEST_STRIP_PIXELS,
    in_blocks,
    put_together,
    rows_of_strips,
    surrounded,
    touched,
)

SIZE = (61, 50)
SCALE = (4, 3)


def cut(picture: Image.Image, rows: int) -> list[Image.Image]:
    tops = range(0, picture.height, rows)
    return [picture.crop((0, top, picture.width, min(top + rows, picture.height))) for top in tops]


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 50])
def test_strips_come_to_what_the_whole_comes_to(rows: int) -> None:
    picture = make_picture(*SIZE)
    strips = list(in_blocks(cut(picture, rows), SCALE[1]))
    assert all(strip.height % SCALE[1] == 0 for strip in strips[:-1])
    np.testing.assert_array_equal(np.asarray(put_together(strips, SIZE, SCALE)), np.asarray(picture.reduce(SCALE)))


def test_rows_are_whole_blocks_of_about_so_many_pixels() -> None:
    assert rows_of_strips(1000, 7, 70_000) == 70
    assert rows_of_strips(1000, 7, 1) == 7
    assert rows_of_strips(LARGEST_STRIP_PIXELS, 1) == 1
    assert rows_of_strips(LARGEST_STRIP_PIXELS, 2) == 0


@pytest.mark.parametrize("box", [(0, 0, 61, 50), (5, 7, 30, 31), (4, 3, 8, 6), (60, 49, 61, 50), (0, 48, 61, 50)])
def test_a_part_is_averaged_on_the_blocks_of_the_whole(box: tuple[int, int, int, int]) -> None:
    part = make_picture(box[2] - box[0], box[3] - box[1])
    around = touched(box, SIZE, SCALE)
    alone = put_together(
        in_blocks(surrounded(cut(part, 2), box, around), SCALE[1]),
        (around[2] - around[0], around[3] - around[1]),
        SCALE,
    )
    whole = Image.new("RGBA", SIZE)
    whole.paste(part.convert("RGBA"), box[:2])
    left, top = around[0] // SCALE[0], around[1] // SCALE[1]
    expected = whole.reduce(SCALE).crop((left, top, left + alone.width, top + alone.height))
    np.testing.assert_array_equal(np.asarray(alone.convert("RGBA")), np.asarray(expected))
