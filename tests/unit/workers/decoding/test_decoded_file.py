"""What is judged of a file that shows several pictures, and what of it is enrolled."""

import time

import numpy as np
import pytest
from PIL import Image

from shared.core.hashing import hamming
from shared.extract.sniff import sniff
from shared.types import DecodedImage
from tests.film_factories import MAKERS, Part
from tests.image_factories import make_animation, make_file, make_heif, make_icon, make_picture
from workers.decoding.decoded_file import judged, reference
from workers.decoding.formats.frame_walk import open_file
from workers.decoding.formats.picture_formats import register

register()
SECRET = make_picture(320, 200, seed=99)
PIXELS = 100_000_000
FEW_COLOURS = 48
"""Bits by which the hash of these smooth pictures changes with 256 colours, of 256; others differ by 100 and more."""


def judge(data: bytes, *, max_frames: int = 16, max_pixels: int = PIXELS) -> DecodedImage:
    return judged(open_file(data, sniff(data)), side=32, max_pixels=max_pixels, max_frames=max_frames)


def enrol(data: bytes) -> DecodedImage:
    return reference(open_file(data, sniff(data)), side=32, max_pixels=PIXELS)


def hash_of(picture: Image.Image) -> str:
    return judge(make_file(picture)).frames[0].pdq[0]


def scene(number: int) -> Image.Image:
    """A frame of a film: the same picture with a bright square on its way through it."""
    frame = make_picture(320, 200, seed=1)
    frame.paste((250, 250, 240), (6 * number, 80, 6 * number + 40, 120))
    return frame


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_secret_in_frame_37_of_50_is_judged(image_format: str) -> None:
    frames = [SECRET if number == 37 else scene(number) for number in range(50)]
    image = judge(make_animation(*frames, image_format=image_format))
    assert (image.info.frames, len(image.frames)) == (50, 16)
    (secret,) = (frame for frame in image.frames if frame.index == 37)
    assert hamming(secret.pdq[0], hash_of(SECRET)) <= FEW_COLOURS
    assert {0, 49} <= {frame.index for frame in image.frames}


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(2100, 1500), (3600, 2400)])
def test_the_secret_in_frame_37_of_a_large_film_is_judged(image_format: str, size: tuple[int, int]) -> None:
    secret = SECRET.resize(size).convert("RGBA")
    secret.paste((0, 0, 0, 0), (0, 0, 3, 3))  # not the whole picture: what was there is left there
    square = Image.new("RGBA", (201, 153), (250, 250, 240, 255))
    parts = [
        Part(picture=secret, over=True, disposal=1 + (image_format == "GIF"))
        if number == 37
        else Part(picture=square, at=(40 * number, 30 * number), over=True)
        for number in range(1, 41)
    ]
    data = MAKERS[image_format](size, [Part(picture=make_picture(*size).convert("RGBA")), *parts])
    image = judge(data, max_pixels=50 * size[0] * size[1])
    assert image.info.frames == 41
    (found,) = (frame for frame in image.frames if frame.index == 37)
    (alone,) = judge(MAKERS[image_format](size, [Part(picture=SECRET.resize(size).convert("RGBA"))])).frames
    assert hamming(found.pdq[0], alone.pdq[0]) <= 8


def test_a_still_that_is_repeated_is_judged_once() -> None:
    pages = [make_picture()] * 12
    image = judge(make_animation(*pages, image_format="TIFF"))
    assert (image.info.frames, image.info.frames_inspected, len(image.frames)) == (12, 12, 1)


def test_frames_that_are_left_out_are_told() -> None:
    random = np.random.default_rng(1)
    noise = [Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).resize((80, 80)) for _ in range(40)]
    image = judge(make_animation(*noise, image_format="WEBP", lossless=True))
    assert (image.info.frames, image.info.frames_inspected, len(image.frames)) == (40, 16, 16)


def test_one_frame_beyond_the_budget_is_not_inspected() -> None:
    data = make_animation(*(make_picture(seed=seed) for seed in range(4)))
    info = judge(data, max_pixels=320 * 200 * 3).info
    assert (info.frames, info.frames_inspected) == (4, 3)


def test_a_burst_is_judged_whole_and_sized_by_its_main_picture() -> None:
    image = judge(make_heif("burst"))
    assert (image.info.format, image.info.frames, image.info.frames_inspected) == ("HEIF", 4, 4)
    for frame in image.frames:
        assert hamming(frame.pdq[0], hash_of(make_picture(240, 160, seed=frame.index + 1))) <= 24  # x265 at quality 40


def test_the_second_picture_of_a_phone_s_jpeg_is_judged() -> None:
    image = judge(make_animation(make_picture(), SECRET, image_format="MPO"))
    assert (image.info.format, image.info.frames) == ("JPEG", 2)
    assert hamming(image.frames[1].pdq[0], hash_of(SECRET)) <= 10


def test_the_sizes_of_an_icon_are_one_picture_and_a_foreign_one_another() -> None:
    same = judge(make_icon(*(make_picture(side, side) for side in (128, 64, 32))))
    assert (same.info.frames, same.info.frames_inspected, len(same.frames)) == (3, 3, 1)
    assert len(judge(make_icon(make_picture(128, 128), make_picture(64, 64, seed=7))).frames) == 2


def test_white_on_nothing_in_heif() -> None:
    image = judge(make_heif("white_on_clear"))
    assert [frame.low_information for frame in image.frames] == [True, False]
    assert not image.info.low_information


def test_the_first_frame_that_shows_something_is_enrolled() -> None:
    blank = Image.new("RGB", (320, 200), "white")
    image = enrol(make_animation(blank, SECRET, make_picture()))
    (frame,) = image.frames
    assert frame.index == 1
    assert hamming(frame.pdq[0], hash_of(SECRET)) <= FEW_COLOURS
    assert frame.views
    assert not image.info.low_information


def test_a_blank_animation_is_enrolled_as_blank() -> None:
    blank = [Image.new("RGB", (320, 200), colour) for colour in ("white", "black")]
    assert enrol(make_animation(*blank)).info.low_information


def test_ten_thousand_frames_are_no_matter() -> None:
    tiny = make_file(Image.new("P", (2, 2)), "GIF")
    at = tiny.index(b"\x2c")
    started = time.process_time()
    info = judge(tiny[:at] + tiny[at:-1] * 10_000 + b";").info
    assert (info.frames, info.frames_inspected) == (10_000, 500)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_frames_are_seen_as_they_are_shown(disposal: int) -> None:
    frames = [make_picture(320, 200, seed=seed) for seed in range(3)]
    data = make_animation(*frames, disposal=disposal)
    assert [hamming(f.pdq[0], hash_of(frames[f.index])) <= FEW_COLOURS for f in judge(data).frames] == [True] * 3


def test_a_huge_canvas_is_paid_for_by_every_frame() -> None:
    pages = [Image.new("RGB", (4000, 4000), (shade, 0, 0)) for shade in range(0, 250, 50)]
    info = judge(make_animation(*pages, image_format="TIFF", compression="tiff_lzw"), max_pixels=50_000_000).info
    assert (info.frames, info.frames_inspected) == (5, 3)
