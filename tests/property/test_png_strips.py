"""However a PNG is damaged, in strips it gives what it gives as a whole, or is refused as that is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.image_factories import make_exif, make_file, make_picture
from tests.png_factories import filtered_png
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.formats.png_strips import png_layout, png_strips, without_pixels
from workers.decoding.pixels import reducible

PICTURE = make_picture(90, 70)
FILES = (
    make_file(PICTURE, exif=make_exif(6)),
    make_file(PICTURE, compress_level=0),
    make_file(PICTURE.quantize(16), bits=4, transparency=3),
    filtered_png(np.asarray(PICTURE).astype(np.uint16) * 257),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(8, len(data) - 1) | st.integers(8, 60))
        kind = draw(st.sampled_from(("flip", "cut", "put")))
        if kind == "flip":
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[place : place + draw(st.integers(1, 40))]
        else:
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
    return bytes(data)


def whole(image: Image.Image) -> NDArray[np.uint8] | None:
    try:
        image.load()
    except Exception:  # noqa: BLE001 - of what is hostile a parser raises anything
        return None
    return np.asarray(reducible(image).convert("RGBA"))


def by_strips(image: Image.Image, data: bytes) -> NDArray[np.uint8] | None:
    layout = png_layout(image, data)
    if layout is None:
        return whole(image)
    try:
        strips = [reducible(strip).convert("RGBA") for strip in png_strips(image, data, layout, 16)]
        open_picture(without_pixels(data, layout), "image/png").load()
    except Exception:  # noqa: BLE001 - of what is hostile a parser raises anything
        return None
    return np.concatenate([np.asarray(strip) for strip in strips])


@given(damaged())
def test_a_damaged_file_is_seen_the_same_way(data: bytes) -> None:
    try:
        images = [open_picture(data, "image/png") for _ in range(2)]
    except Exception:  # noqa: BLE001 - of what is hostile a parser raises anything
        return
    if images[0].width * images[0].height > 1_000_000:
        return
    one, other = whole(images[0]), by_strips(images[1], data)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        np.testing.assert_array_equal(one, other)
