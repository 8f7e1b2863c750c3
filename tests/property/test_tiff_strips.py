"""However a TIFF is damaged, what comes in strips is what comes as a whole, wherever both can be read."""

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.image_factories import make_file, make_picture
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.formats.tiff_strips import tiff_layout, tiff_strips
from workers.decoding.pixels import reducible

PICTURE = make_picture(90, 70)
FILES = tuple(
    make_file(PICTURE, "TIFF", compression=how, tiffinfo={278: 16})
    for how in ("raw", "tiff_lzw", "jpeg", "packbits", "tiff_adobe_deflate")
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(8, 300) | st.integers(0, len(data) - 1))
        if draw(st.booleans()):
            data[place] ^= 1 << draw(st.integers(0, 7))
        else:
            del data[place : place + draw(st.integers(1, 40))]
    return bytes(data)


@given(damaged())
def test_a_damaged_file_is_seen_the_same_way_or_not_at_all(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image, other = (open_picture(data, "image/tiff") for _ in range(2))
            layout = tiff_layout(image, 1_000_000)
            if layout is None or image.width * image.height > 1_000_000:
                return
            strips = [np.asarray(reducible(strip).convert("RGBA")) for strip in tiff_strips(data, layout, 32)]
            orientation = image.getexif().get(274, 1)
            other.load()
        except Exception:  # noqa: BLE001 - of what is hostile a parser raises anything
            return
    assert sum(map(len, strips)) == layout.size[1]
    if orientation == 1:
        np.testing.assert_array_equal(np.concatenate(strips), np.asarray(reducible(other).convert("RGBA")))
