"""An animated WebP's frames are composed as libwebp composes them itself."""

import numpy as np
import pytest
from PIL import Image

from tests.film_factories import Part, make_parts, make_webp, seen_by_pillow, seen_in_full
from tests.image_factories import make_animation, make_file, make_picture
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.formats.webp_film import webp_film

SIZE = (61, 47)


def by_pillow(data: bytes) -> list[Image.Image]:
    return seen_by_pillow(data, "image/webp")


def by_parts(data: bytes, count: int = 100, opened: bytes | None = None) -> list[Image.Image]:
    return seen_in_full(webp_film(open_picture(opened or data, "image/webp"), data, count))


def most_off(found: Image.Image, expected: Image.Image) -> int:
    off = np.asarray(found.convert("RGBa")).astype(int) - np.asarray(expected.convert("RGBa"))
    return int(np.abs(off).max())


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("over", [(True, True, False), (False, True, True), (False,)])
@pytest.mark.parametrize("seed", range(4))
def test_every_disposal_and_blend_is_as_libwebp_has_it(seed: int, over: tuple[bool, ...], lossless: bool) -> None:
    disposals = [int(choice) for choice in np.random.default_rng(seed).integers(0, 2, 9)]
    data = make_webp(SIZE, make_parts(SIZE, disposals, seed=seed * 10, over=over, even=True), lossless=lossless)
    for found, expected in zip(by_parts(data), by_pillow(data), strict=True):
        assert most_off(found, expected) <= 1


def test_half_clear_pixels_are_laid_over_others() -> None:
    parts = make_parts(SIZE, [0] * 4, over=(True,), even=True)
    for part in parts[1:]:
        part.picture.putalpha(Image.linear_gradient("L").resize(part.picture.size))
    data = make_webp(SIZE, parts, lossless=True)
    for found, expected in zip(by_parts(data), by_pillow(data), strict=True):
        assert most_off(found, expected) <= 3


@pytest.mark.parametrize("lossless", [False, True])
def test_what_has_no_clear_parts_is_read(lossless: bool) -> None:
    data = make_animation(
        *(make_picture(*SIZE, seed=seed) for seed in range(4)), image_format="WEBP", lossless=lossless
    )
    for found, expected in zip(by_parts(data), by_pillow(data), strict=True):
        assert most_off(found, expected) == 0


def test_rows_come_one_strip_at_a_time() -> None:
    size = (300, 900)
    data = make_animation(make_picture(*size), make_picture(*size, seed=2), image_format="WEBP")
    film = webp_film(open_picture(data, "image/webp"), data, 9)
    assert film is not None
    strips = [strip.convert("RGB") for strip in film.frames[0].strips(64)]
    assert [strip.height for strip in strips] == [64] * 14 + [4]
    expected = by_pillow(data)[0].convert("RGB")
    np.testing.assert_array_equal(np.concatenate([np.asarray(strip) for strip in strips]), np.asarray(expected))


@pytest.mark.parametrize("data", [make_file(make_picture(*SIZE), "WEBP"), make_file(Image.new("RGBA", SIZE), "WEBP")])
def test_stills_are_left_to_others(data: bytes) -> None:
    assert webp_film(open_picture(data, "image/webp"), data, 9) is None


def film_with_head(at: int, changed: bytes) -> tuple[bytes, bytes]:
    """Return a film of three frames, and the same with other bytes in the head of the third."""
    data = make_webp(SIZE, make_parts(SIZE, [0] * 3, even=True), lossless=True)
    place = data.rindex(b"ANMF") + 8 + at
    return data, data[:place] + changed + data[place + len(changed) :]


def test_a_film_ends_before_a_frame_that_is_not_on_its_canvas() -> None:
    data, moved = film_with_head(0, b"\xff\xff\xff")
    assert len(by_parts(moved, opened=data)) == 2


def test_a_frame_of_another_size_than_it_says_is_refused() -> None:
    data, small = film_with_head(6, b"\0\0\0")
    with pytest.raises(OSError, match=r"has \d+ x \d+|status"):
        by_parts(small, opened=data)


def test_what_is_damaged_is_refused() -> None:
    data = make_webp(SIZE, [Part(picture=make_picture(*SIZE).convert("RGBA"))] * 2, lossless=True)
    place = data.rindex(b"VP8L") + 8
    broken = data[: place + 5] + bytes(byte ^ 0x55 for byte in data[place + 5 :])
    with pytest.raises(OSError, match=r"libwebp failed|truncated"):
        by_parts(broken, opened=data)


def test_a_frame_that_is_cut_is_refused() -> None:
    whole = make_webp(SIZE, [Part(picture=make_picture(*SIZE).convert("RGBA"))] * 2)
    place = whole.rindex(b"ANMF")
    length = int.from_bytes(whole[place + 4 : place + 8], "little") // 2
    short = whole[: place + 4] + length.to_bytes(4, "little") + whole[place + 8 : place + 8 + length]
    with pytest.raises(OSError, match=r"libwebp failed|truncated"):
        by_parts(short, opened=whole)


def test_a_film_that_is_cut_ends_with_what_is_whole() -> None:
    data = make_webp(SIZE, make_parts(SIZE, [0] * 4, even=True), lossless=True)
    assert len(by_parts(data[: data.rindex(b"ANMF") + 200], opened=data)) == 3


def test_no_more_frames_are_looked_for_than_are_asked_for() -> None:
    assert len(by_parts(make_webp(SIZE, make_parts(SIZE, [0] * 4, even=True)), 2)) == 2
