"""A child's memory does not grow with a picture's pixels: 36 megapixels take it 64 MB at most, its file included."""

import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from shared.types import DecodedImage
from tests.image_factories import make_file
from tests.png_factories import interlaced, png_of
from workers.decode_process import DecodeProcess

SIDE = 6000
MOST_MB = 64

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from proc(5)")


def gradient() -> Image.Image:
    return Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")


def whole_png() -> bytes:
    return png_of(zlib.compress(bytes((1 + 3 * SIDE) * SIDE), 1), (SIDE, SIDE))


def interlaced_png() -> bytes:
    shares = ((8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2))
    rows = b"".join(bytes((1 + 3 * (SIDE // across)) * (SIDE // down)) for across, down in shares)
    return interlaced(png_of(zlib.compress(rows, 1), (SIDE, SIDE)))


FILES: dict[str, Callable[[], bytes]] = {
    "baseline JPEG": lambda: make_file(gradient(), "JPEG"),
    "progressive JPEG": lambda: make_file(gradient(), "JPEG", progressive=True),
    "PNG": whole_png,
    "interlaced PNG": interlaced_png,
    "TIFF": lambda: make_file(gradient(), "TIFF", compression="packbits"),
    "AVIF": lambda: make_file(gradient(), "AVIF", speed=10),
    "WebP": lambda: make_file(gradient(), "WEBP", method=0),
}


def memory_mb(pid: int, which: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(which + ":"))


@pytest.mark.parametrize("name", FILES)
async def test_what_a_large_picture_takes_is_bounded(name: str) -> None:
    data = FILES[name]()
    child = await DecodeProcess.start(side=160, max_pixels=SIDE * SIDE, max_frames=16)
    try:
        idle = memory_mb(child.pid, "VmRSS")
        Path(f"/proc/{child.pid}/clear_refs").write_text("5")  # the peak is counted from here
        outcome = (await child.ask(data)).outcome
        assert isinstance(outcome, DecodedImage)
        assert (outcome.info.width, outcome.info.height) == (SIDE, SIDE)
        assert memory_mb(child.pid, "VmHWM") - idle <= MOST_MB
    finally:
        await child.end()
