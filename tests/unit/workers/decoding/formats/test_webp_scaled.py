"""A still WebP is scaled by libwebp to what reducing its pixels gives."""

import numpy as np
import pytest
from PIL import Image

from tests.image_factories import make_animation, make_file, make_picture
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.formats.webp_scaled import webp_scaled

SIZE = (403, 302)
SCALE = (4, 3)


@pytest.mark.parametrize(("options", "off"), [({"lossless": True}, 1.0), ({"quality": 80}, 2.0)])
def test_the_picture_is_that_of_the_blocks_means(options: dict[str, int], off: float) -> None:
    data = make_file(make_picture(*SIZE), "WEBP", **options)
    scaled = webp_scaled(data, SIZE, SCALE)
    assert scaled is not None
    expected = open_picture(data, "image/webp").convert("RGB").reduce(SCALE)
    assert scaled.size == expected.size == (101, 101)
    difference = np.abs(np.asarray(scaled).astype(int) - np.asarray(expected))
    assert difference[:, :-1].mean() < off
    assert difference[:, -1].mean() < 8 * off  # a block that is not whole shows what is beside it


@pytest.mark.parametrize(
    "data",
    [
        make_animation(make_picture(*SIZE), make_picture(*SIZE, seed=2), image_format="WEBP"),
        make_file(Image.new("RGBA", SIZE, (9, 9, 9, 9)), "WEBP"),
        make_file(make_picture(), "WEBP"),
        b"RIFF\0\0\0\0WEBP",
    ],
    ids=["animated", "clear", "another size", "no picture"],
)
def test_what_is_no_plain_still_is_left_to_others(data: bytes) -> None:
    assert webp_scaled(data, SIZE, SCALE) is None


def test_what_is_cut_off_or_damaged_is_refused() -> None:
    data = make_file(make_picture(*SIZE), "WEBP", lossless=True)
    with pytest.raises(OSError, match="libwebp failed"):
        webp_scaled(data[: len(data) // 2], SIZE, SCALE)
    with pytest.raises(OSError, match="libwebp failed"):
        webp_scaled(data[:30] + bytes(byte ^ 0x55 for byte in data[30:]), SIZE, SCALE)
