"""Pictures written by hand are pictures."""

from __future__ import annotations

import io

import PIL.Image
import pytest

from proxy_addon.responses.placeholders import FORMATS, MAX_PLACEHOLDER_SIDE, placeholder

SIZES = [(1, 1), (2, 1), (7, 3), (8, 9), (3, 500), (500, 3), (640, 480), (1280, 853), (4000, 3000), (4096, 4096)]


def opened(data: bytes) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(data))


@pytest.mark.parametrize("size", [*SIZES, (MAX_PLACEHOLDER_SIDE, 1)])
def test_the_png_has_a_sign_and_is_small(size: tuple[int, int]) -> None:
    media_type, png = placeholder("image/*", *size)
    assert media_type == "image/png"
    assert len(png) < 128 + size[0] * size[1] // 100
    with opened(png) as image:
        image.load()
        assert image.size == size
        grey = image.convert("L")
        assert grey.getpixel((0, 0)) == grey.getpixel((size[0] - 1, size[1] - 1)) == 0xE4
        signs = grey.point(lambda value: 255 if value == 0x8C else 0).getbbox()
        if min(size) >= 8:
            assert signs is not None
            left, top, right, bottom = signs
            assert abs(left + right - size[0]) <= 2
            assert abs(top + bottom - size[1]) <= 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("media_type", FORMATS[1:])
def test_the_others_are_plain(media_type: str, size: tuple[int, int]) -> None:
    made, data = placeholder(media_type, *size)
    assert made == media_type
    with opened(data) as image:
        image.load()
        assert (f"image/{(image.format or '').lower()}", image.size) == (media_type, size)
        assert image.convert("L").getextrema() == (0xE4, 0xE4)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "image/png"),
        ("", "image/png"),
        ("*/*", "image/png"),
        ("image/png;q=0.1, image/webp", "image/png"),
        ("image/avif, image/webp;q=0.8", "image/webp"),
        ("image/GIF", "image/gif"),
        ("image/jpeg, image/gif", "image/jpeg"),
        ("image/avif", "image/png"),
    ],
)
def test_what_is_asked_for(accept: str, media_type: str) -> None:
    assert placeholder(accept, 8, 8)[0] == media_type


@pytest.mark.parametrize(
    ("accept", "size", "drawn"),
    [
        ("image/png", (0, -5), (1, 1)),
        ("image/png", (MAX_PLACEHOLDER_SIDE * 4, 8), (MAX_PLACEHOLDER_SIDE, 2)),
        ("image/webp", (1, MAX_PLACEHOLDER_SIDE * 2), (1, MAX_PLACEHOLDER_SIDE)),
        ("image/gif", (8192, 4), (4096, 2)),
    ],
)
def test_they_stay_within_limits(accept: str, size: tuple[int, int], drawn: tuple[int, int]) -> None:
    with opened(placeholder(accept, *size)[1]) as image:
        assert image.size == drawn
