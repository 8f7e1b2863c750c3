"""A child's memory does not grow with a picture's pixels: 36 megapixels take it 64 MB at most, its file included.

Films have two frames of so many.
"""

import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from shared.types import DecodedImage
from tests.film_factories import Part, make_apng, make_gif, make_webp
from tests.image_factories import make_animation, make_file
from tests.png_factories import interlaced, png_of
from workers.decoding.process import DecodeProcess

SIDE = 6000
MOST_MB = 64
HELD_WHOLE_MB = {"AVIF": 70}
"""Its decoder holds 1.5 bytes a pixel, 54 MB; what a child takes before it differs by 4 from tree to tree."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from proc(5)")


def gradient() -> Image.Image:
    return Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")


def whole_png() -> bytes:
    return png_of(zlib.compress(bytes((1 + 3 * SIDE) * SIDE), 1), (SIDE, SIDE))


def interlaced_png() -> bytes:
    shares = ((8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2))
    rows = b"".join(bytes((1 + 3 * (SIDE // across)) * (SIDE // down)) for across, down in shares)
    return interlaced(png_of(zlib.compress(rows, 1), (SIDE, SIDE)))


def recorded(image_format: str) -> bytes:
    """Return a film of two whole frames."""
    frames = [gradient().rotate(turn) for turn in (0, 90)]
    if image_format == "GIF":
        frames = [frame.convert("L") for frame in frames]
        return make_file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    if image_format == "WEBP":  # Pillow would write the second with clear parts, which libwebp holds whole
        return make_webp((SIDE, SIDE), [Part(picture=frame) for frame in frames], clear=False, method=0)
    return make_animation(*frames, image_format=image_format, compress_level=1)


def parts() -> list[Part]:
    """Return a frame, and another with a hole that is drawn over it."""
    above = gradient().rotate(90).crop((0, 0, SIDE - 10, SIDE - 10)).convert("RGBA")
    above.paste((0, 0, 0, 0), (99, 99, 999, 999))
    return [Part(picture=gradient().convert("RGBA")), Part(picture=above, at=(6, 8), over=True, disposal=1)]


FILES: dict[str, Callable[[], bytes]] = {
    "baseline JPEG": lambda: make_file(gradient(), "JPEG"),
    "progressive JPEG": lambda: make_file(gradient(), "JPEG", progressive=True),
    "PNG": whole_png,
    "interlaced PNG": interlaced_png,
    "TIFF": lambda: make_file(gradient(), "TIFF", compression="packbits"),
    "AVIF": lambda: make_file(gradient(), "AVIF", speed=10),
    "WebP": lambda: make_file(gradient(), "WEBP", method=0),
    "still GIF": lambda: make_file(gradient().convert("L"), "GIF"),
    "GIF": lambda: recorded("GIF"),
    "animated PNG": lambda: recorded("PNG"),
    "animated WebP": lambda: recorded("WEBP"),
    "GIF of parts": lambda: make_gif((SIDE, SIDE), parts()),
    "animated PNG of parts": lambda: make_apng((SIDE, SIDE), parts()),
}


def memory_mb(pid: int, which: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(which + ":"))


@pytest.mark.parametrize("name", FILES)
async def test_what_a_large_picture_takes_is_bounded(name: str) -> None:
    data = FILES[name]()
    child = await DecodeProcess.start(side=160, max_pixels=2 * SIDE * SIDE, max_frames=16)
    try:
        idle = memory_mb(child.pid, "VmRSS")
        Path(f"/proc/{child.pid}/clear_refs").write_text("5")  # the peak is counted from here
        outcome = (await child.ask(data)).outcome
        assert isinstance(outcome, DecodedImage)
        assert (outcome.info.width, outcome.info.height) == (SIDE, SIDE)
        assert memory_mb(child.pid, "VmHWM") - idle <= HELD_WHOLE_MB.get(name, MOST_MB)
    finally:
        await child.end()
