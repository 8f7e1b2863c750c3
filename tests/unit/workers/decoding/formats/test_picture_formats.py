"""Each file is read by the parser its first bytes name, and by no other."""

import numpy as np
import pytest
from PIL import UnidentifiedImageError

from shared.extract.sniff import sniff
from tests.image_factories import make_file, make_heif, make_icon, make_picture
from workers.decoding.formats.picture_formats import MEDIA_TYPES, format_of, open_picture, register
from workers.decoding.protocol import FORMATS

register()
SMALL = make_picture(64, 48)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        *[(make_file(SMALL, name), name) for name in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "ICO")],
        (make_file(SMALL, "MPO", save_all=True, append_images=[make_picture(64, 48, seed=2)]), "JPEG"),
        (make_heif("photograph"), "HEIF"),
        (make_icon(SMALL, cursor=True), "CUR"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_format_has_one_name(data: bytes, expected: str) -> None:
    media_type = sniff(data)
    assert media_type in MEDIA_TYPES
    assert format_of(open_picture(data, media_type), data) == expected
    assert expected in FORMATS


def test_no_other_parser_is_tried() -> None:
    with pytest.raises(UnidentifiedImageError):
        open_picture(make_file(SMALL, "PNG"), "image/gif")


def test_what_is_not_recognised_may_still_be_a_plain_format() -> None:
    assert open_picture(make_file(SMALL, "BMP"), None).format == "BMP"
    with pytest.raises(UnidentifiedImageError):
        open_picture(make_heif("photograph"), None)


@pytest.mark.parametrize("bitmaps", [False, True])
@pytest.mark.parametrize("cursor", [False, True])
def test_the_largest_picture_of_an_icon_comes_first(*, bitmaps: bool, cursor: bool) -> None:
    pictures = [make_picture(side, side) for side in (128, 16, 48)]
    data = make_icon(*pictures, cursor=cursor, bitmaps=bitmaps)
    image = open_picture(data, sniff(data))
    image.load()
    assert image.size == (128, 128)
    assert np.abs(np.asarray(image.convert("RGB"), np.int16) - np.asarray(pictures[0], np.int16)).max() == 0
