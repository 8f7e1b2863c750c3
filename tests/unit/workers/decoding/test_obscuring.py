"""Nothing of a region is left in any frame, and the rest is what it was."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from shared.core.hashing import hamming
from shared.errors import DecodeError, ErrorCode
from shared.types import Obscuring, RedactionOrder, Region
from tests.image_factories import make_animation, make_exif, make_file, make_heif, make_icon, make_picture
from workers.decoding.child import Limits, decode, obscured
from workers.decoding.formats.picture_formats import register
from workers.decoding.obscuring import BLUR_CELLS, MAX_OBSCURED_FRAMES, MAX_PROFILE_BYTES, WRITTEN

LIMITS = Limits(side=32, max_pixels=5_000_000)
REGION: Region = (80, 48, 208, 144)
ANIMATED = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")

register()


def redacted(data: bytes, *regions: Region, how: Obscuring = Obscuring.BOX, limits: Limits = LIMITS) -> bytes:
    return obscured(data, RedactionOrder(regions=regions, how=how), limits).data


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def pixels(image: Image.Image) -> NDArray[np.int16]:
    return np.asarray(image.convert("RGB")).astype(np.int16)


def inside(image: Image.Image, region: Region = REGION) -> NDArray[np.int16]:
    return pixels(image.crop(region))


@pytest.mark.parametrize("image_format", [name for name in WRITTEN if name != "ICO"])
def test_the_region_is_black_and_the_rest_stays(image_format: str) -> None:
    data = make_file(make_picture(320, 200), image_format)
    before, after = opened(data), opened(redacted(data, REGION))
    assert (after.format, after.size) == (image_format, before.size)
    assert inside(after, (88, 56, 200, 136)).max() < 12, "a lossy format rings at the edge"
    difference = np.abs(pixels(before) - pixels(after))
    difference[40:152, 72:216] = 0
    assert difference.mean() < 2.5


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_change_in_the_region_alone(image_format: str) -> None:
    data = make_file(make_picture(320, 200), image_format)
    before, after = pixels(opened(data)), pixels(opened(redacted(data, REGION)))
    changed = np.argwhere((before != after).any(axis=2))
    assert changed.min(axis=0).tolist() == [48, 80]
    assert changed.max(axis=0).tolist() == [143, 207]


def test_without_regions_the_whole_picture_goes() -> None:
    assert pixels(opened(redacted(make_file(), how=Obscuring.BOX))).max() == 0


def test_a_blur_leaves_a_handful_of_colours() -> None:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (200, 320, 3), dtype=np.uint8))
    after = opened(redacted(make_file(noise), REGION, how=Obscuring.BLUR))
    kept = inside(after)
    assert 0 < kept.mean() < 255
    steps = np.abs(np.diff(kept, axis=1)).max()
    assert steps <= 255 // BLUR_CELLS, "no edge of the original is left"
    whole = opened(redacted(make_file(make_picture(320, 200)), how=Obscuring.BLUR))
    before, after_all = (decode(make_file(each), LIMITS).frames[0].pdq[0] for each in (make_picture(320, 200), whole))
    assert hamming(before, after_all) > 31


@pytest.mark.parametrize("image_format", ANIMATED)
def test_every_frame_is_obscured(image_format: str) -> None:
    frames = [make_picture(320, 200, seed=seed) for seed in range(4)]
    moving: dict[str, Any] = {} if image_format == "TIFF" else {"duration": [40, 80, 120, 160], "loop": 3}
    data = make_file(frames[0], image_format, save_all=True, append_images=frames[1:], **moving)
    after = opened(redacted(data, REGION))
    seen = [frame.copy() for frame in ImageSequence.Iterator(after)]
    assert len(seen) == 4
    assert all(inside(frame, (88, 56, 200, 136)).max() < 12 for frame in seen)
    assert all(np.abs(pixels(one)[:40] - pixels(two)[:40]).mean() < 12 for one, two in zip(frames, seen, strict=True))
    if moving and image_format != "AVIF":  # which Pillow lets repeat for ever
        assert after.info["loop"] == 3
        assert [frame.info["duration"] for frame in seen] == [40, 80, 120, 160]


def with_thumbnail() -> bytes:
    """A JPEG whose EXIF block holds a small copy of it, a comment and a second picture behind the first."""
    picture = make_picture(320, 200)
    thumbnail = make_file(picture.resize((80, 50)), "JPEG")
    exif = make_exif(1)
    exif[0x010E] = "SECRET-DESCRIPTION"
    block = exif.tobytes() + thumbnail
    return make_file(picture, "MPO", save_all=True, append_images=[make_picture(seed=5)], exif=block, comment=b"SECRET")


def test_metadata_is_left_behind() -> None:
    data = with_thumbnail()
    assert data.count(b"\xff\xd8\xff") >= 3
    after = redacted(data, REGION)
    assert after.count(b"\xff\xd8\xff") == 1
    assert b"SECRET" not in after
    assert not opened(after).getexif()


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF", "GIF"])
def test_text_and_exif_of_other_formats_are_left_behind(image_format: str) -> None:
    exif = make_exif(1)
    exif[0x010E] = "SECRET-DESCRIPTION"
    options: dict[str, Any] = {"comment": b"SECRET"} if image_format == "GIF" else {"exif": exif}
    data = make_file(make_picture(), image_format, **options)
    assert b"SECRET" in data
    assert b"SECRET" not in redacted(data, REGION)


@pytest.mark.parametrize(("size", "kept"), [(600, True), (MAX_PROFILE_BYTES + 1, False)])
def test_a_colour_profile_stays_where_it_is_small(size: int, kept: bool) -> None:
    profile = (size.to_bytes(4) + b"ADBE" + bytes(size))[:size]
    after = opened(redacted(make_file(image_format="PNG", icc_profile=profile), REGION))
    assert ("icc_profile" in after.info) is kept


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_turn_is_made_before_it_is_forgotten(image_format: str) -> None:
    """Regions are those of the upright picture."""
    data = make_file(make_picture(320, 200), image_format, exif=make_exif(6))
    after = opened(redacted(data, (10, 20, 90, 300)))
    assert after.size == (200, 320)
    assert inside(after, (20, 30, 80, 290)).max() < 12
    turned = make_picture(320, 200).transpose(Image.Transpose.ROTATE_270)
    assert np.abs(pixels(after)[:, 110:] - pixels(turned)[:, 110:]).mean() < 3


@pytest.mark.parametrize(
    ("mode", "image_format"),
    [
        *[("L", name) for name in WRITTEN if name != "ICO"],
        *[("P", name) for name in ("PNG", "GIF", "BMP", "TIFF")],
        *[("1", name) for name in ("PNG", "BMP", "TIFF")],
        *[("RGBA", name) for name in ("PNG", "WEBP", "BMP", "TIFF", "GIF")],
        *[("CMYK", name) for name in ("JPEG", "TIFF")],
        *[("LA", name) for name in ("PNG", "TIFF")],
        *[("I;16", name) for name in ("PNG", "TIFF")],
        ("F", "TIFF"),
        ("YCbCr", "TIFF"),
    ],
)
def test_every_mode_can_be_painted_on(mode: str, image_format: str) -> None:
    picture = make_picture(320, 200)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    after = opened(redacted(make_file(picture.convert(mode) if mode != "I;16" else picture, image_format), REGION))
    assert (after.format, after.size) == (image_format, (320, 200))
    assert inside(after, (88, 56, 200, 136)).max() < 12


def test_what_is_clear_stays_clear() -> None:
    picture = make_picture(320, 200).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((320, 200)))
    after = opened(redacted(make_file(picture), REGION))
    assert (after.mode, after.getpixel((0, 0))) == ("RGBA", picture.getpixel((0, 0)))
    assert after.getpixel((100, 100)) == (0, 0, 0, 255), "the box itself cannot be seen through"


@pytest.mark.parametrize("region", [(-5, -5, 10, 10), (300, 190, 999, 999), (500, 500, 600, 600), (10, 10, 10, 20)])
def test_regions_are_cut_to_the_picture(region: Region) -> None:
    for how in Obscuring:
        assert opened(redacted(make_file(make_picture(320, 200)), region, how=how)).size == (320, 200)


def test_a_jpeg_keeps_its_tables() -> None:
    data = make_file(make_picture(320, 200), "JPEG", quality=37, subsampling="4:4:4", progressive=True)
    after = opened(redacted(data, REGION))
    assert after.quantization == opened(data).quantization  # type: ignore[attr-defined]
    assert after.info.get("progressive")


def test_a_png_s_picture_for_programs_without_animation_is_no_frame() -> None:
    frames = [make_picture(320, 200, seed=seed) for seed in range(3)]
    data = make_file(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True, duration=50)
    after = opened(redacted(data, REGION))
    assert all(inside(frame).max() == 0 for frame in ImageSequence.Iterator(after))
    after.seek(0)
    assert np.abs(pixels(after)[:40] - pixels(frames[1])[:40]).max() == 0


def code_of(make: Callable[[], object]) -> ErrorCode:
    with pytest.raises(DecodeError) as caught:
        make()
    return caught.value.code


def test_what_cannot_be_obscured_says_why() -> None:
    whole = make_file()
    assert code_of(lambda: redacted(make_heif("photograph"))) is ErrorCode.UNSUPPORTED_FORMAT
    assert code_of(lambda: redacted(make_icon(make_picture(64, 64), cursor=True))) is ErrorCode.UNSUPPORTED_FORMAT
    assert code_of(lambda: redacted(b"no image")) is ErrorCode.UNSUPPORTED_FORMAT
    assert code_of(lambda: redacted(whole[: len(whole) // 2])) is ErrorCode.TRUNCATED
    assert code_of(lambda: redacted(whole, limits=Limits(side=32, max_pixels=1000))) is ErrorCode.TOO_MANY_PIXELS
    frames = [make_picture(320, 200, seed=seed) for seed in range(3)]
    moving = make_file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    tight = Limits(side=32, max_pixels=320 * 200 * 2)
    assert code_of(lambda: redacted(moving, limits=tight)) is ErrorCode.TOO_MANY_PIXELS


def test_every_size_of_an_icon_is_obscured() -> None:
    icon = opened(redacted(make_icon(make_picture(128, 96), make_picture(48, 48, seed=2))))
    assert icon.info["sizes"] == {(128, 96), (48, 48)}
    for size in icon.info["sizes"]:
        icon.size = size  # type: ignore[misc]
        icon.load()
        assert pixels(icon).max() == 0


def test_an_animation_has_its_limit() -> None:
    one, other = make_picture(4, 4), make_picture(4, 4, seed=2)
    frames = [other, one] * (MAX_OBSCURED_FRAMES // 2)
    data = make_file(one, "GIF", save_all=True, append_images=frames)
    assert code_of(lambda: redacted(data)) is ErrorCode.OVER_BUDGET


@pytest.mark.parametrize("image_format", ANIMATED)
def test_nothing_that_was_written_with_stays(image_format: str) -> None:
    """A writer in a reference cycle would keep the file, and write to it once more when it is collected."""
    data = make_animation(*(make_picture(40, 30, seed=seed) for seed in range(3)), image_format=image_format)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        redacted(data)
        gc.collect()
        assert [each for each in gc.garbage if isinstance(each, io.BytesIO)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
