"""Ordinary pictures in a folder of the user's own: what training, calibration and converters are given.

They are read in this process: training is no place for files of strangers.  A file is known by its bytes: a quarter of
them, those that `dataset.held_out` names, is left to whatever measures.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from workers.decoding.formats.picture_formats import register
from workers.decoding.pixels import canonical, reducible
from workers.decoding.protocol import FORMATS
from workers.training.dataset import Item

ENDINGS: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
)
LARGEST_BYTES: Final = 100 << 20
LARGEST_PIXELS: Final = 50_000_000
ORIENTATION: Final = 0x0112
"""EXIF's tag."""
UPRIGHT: Final = 1


def picture_paths(images: Path) -> list[Path]:
    """The picture files under a folder, shuffled with a fixed seed; raises FileNotFoundError for none."""
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not paths:
        raise FileNotFoundError(f"no pictures under {images}")
    random.Random(0).shuffle(paths)
    return paths


def read_pictures(
    paths: Sequence[Path],
    root: Path | None,
    wanted: Callable[[bytes], bool] = lambda _: True,
    *,
    largest: int = LARGEST_BYTES,
) -> Iterator[Item]:
    """The wanted pictures that can be read; each group is a folder, or the picture itself where all lie in one folder.

    `wanted` is asked with the file's bytes, of which there are at most `largest`.
    """
    register()
    flat = len({path.parent for path in paths}) == 1
    for number, path in enumerate(paths):
        data = _read(path, largest)
        picture = _picture(data) if data and wanted(data) else None
        if picture is not None:
            group = f"images/{number}" if flat or root is None else f"images/{path.parent.relative_to(root)}"
            yield Item(source=group, group=group, image=picture)


def _read(path: Path, largest: int) -> bytes:
    try:
        return path.read_bytes() if path.stat().st_size <= largest else b""
    except OSError:
        return b""


def _picture(data: bytes) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > LARGEST_PIXELS:
                return None
            return canonical(reducible(image), image.getexif().get(ORIENTATION, UPRIGHT))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


__all__ = ["ENDINGS", "picture_paths", "read_pictures"]
