"""Films whose every frame is put where a test wants it: what Pillow writes it chooses itself."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from tests.image_factories import make_file, make_picture
from tests.png_factories import SIGNATURE, chunk
from workers.decoding.formats.film_canvas import Film, composed
from workers.decoding.formats.picture_formats import open_picture

CLEAR_INDEX: Final = 63
"""The colour of a GIF's frames that is clear, where one is: the last of 64, none of the picture's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A frame, ``at`` a place on the canvas; ``disposal`` and ``over`` in the format's own numbers."""

    picture: Image.Image
    at: tuple[int, int] = (0, 0)
    disposal: int = 0
    over: bool = False


def make_parts(
    size: tuple[int, int],
    disposals: Sequence[int],
    *,
    seed: int = 1,
    over: Sequence[bool] = (False, True),
    even: bool = False,
) -> list[Part]:
    """Return frames, RGBA with holes, of which the first covers the canvas and the others are anywhere on it."""
    random = np.random.default_rng(seed)
    parts = []
    for number, disposal in enumerate(disposals):
        width, height = size if number == 0 else (int(random.integers(1, length + 1)) for length in size)
        left, top = (int(random.integers(0, length + 1)) for length in (size[0] - width, size[1] - height))
        if even:
            left, top = left & ~1, top & ~1
        picture = make_picture(width, height, seed=seed + number)
        holes = Image.fromarray(np.where(random.random((height, width)) < 0.3, 0, 255).astype(np.uint8))
        picture.putalpha(holes)
        over_this = over[number % len(over)]
        parts.append(Part(picture=picture, at=(left, top), disposal=disposal, over=over_this))
    return parts


def make_gif(size: tuple[int, int], parts: Sequence[Part], *, interlaced: bool = False) -> bytes:
    """Return a GIF; of a part that is ``over`` the holes are clear, of another they are a colour."""
    file = b"GIF89a" + struct.pack("<HHBBB", *size, 0x80, 1, 0) + bytes((9, 90, 200, 250, 120, 7))
    for part in parts:
        opaque = part.picture.convert("RGB").quantize(CLEAR_INDEX, Image.Quantize.FASTOCTREE)
        indices = np.asarray(opaque).copy()
        indices[np.asarray(part.picture.getchannel("A")) == 0] = CLEAR_INDEX
        shown = Image.fromarray(indices)
        colours = [*(opaque.getpalette() or []), *bytes(3 * CLEAR_INDEX)][: 3 * CLEAR_INDEX]
        shown.putpalette([*colours, 9, 99, 199])
        still = make_file(shown, "GIF", optimize=False, interlace=interlaced)
        image = still.index(b"\x2c", 13 + _table(still[10]))
        flags = still[image + 9]
        palette = still[13 : 13 + _table(still[10])]
        size_of_table = still[10] & 7
        control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, part.disposal << 2 | part.over, 10, CLEAR_INDEX, 0)
        place = struct.pack("<B4HB", 0x2C, *part.at, *part.picture.size, 0x80 | flags & 0x40 | size_of_table)
        file += control + place + palette + still[image + 10 : -1]
    return file + b";"


def _table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def make_apng(
    size: tuple[int, int], parts: Sequence[Part], mode: str = "RGBA", *, still: Image.Image | None = None
) -> bytes:
    """Return an animated PNG of frames of a mode; ``still`` is what programs show that show no animation."""
    first = make_file((still or parts[0].picture).convert(mode), compress_level=1)
    head = first[16:29]
    file = (
        SIGNATURE
        + chunk(b"IHDR", struct.pack(">II", *size) + head[8:])
        + chunk(b"acTL", struct.pack(">II", len(parts), 0))
    )
    number = 0
    if still is not None:
        file += chunk(b"IDAT", _stream(first))
    for place, part in enumerate(parts):
        control = struct.pack(">5I2H2B", number, *part.picture.size, *part.at, 1, 10, part.disposal, part.over)
        stream = _stream(make_file(part.picture.convert(mode), compress_level=1))
        file += chunk(b"fcTL", control)
        number += 1
        if place == 0 and still is None:
            file += chunk(b"IDAT", stream)
            continue
        for start in range(0, len(stream), 1000):
            file += chunk(b"fdAT", struct.pack(">I", number) + stream[start : start + 1000])
            number += 1
    return file + chunk(b"IEND", b"")


def _stream(data: bytes) -> bytes:
    """Return what the IDAT chunks of a PNG hold."""
    position, stream = 8, b""
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IDAT":
            stream += data[position + 8 : position + 8 + length]
        position += 12 + length
    return stream


def make_webp(size: tuple[int, int], parts: Sequence[Part], *, clear: bool = True, **options: Any) -> bytes:
    """Return an animated WebP; ``disposal`` 1 is to the background, and a file that is not ``clear`` says so."""
    chunks = _chunk(b"VP8X", bytes((0x12 if clear else 2, 0, 0, 0)) + _three(size[0] - 1) + _three(size[1] - 1))
    chunks += _chunk(b"ANIM", bytes(6))
    for part in parts:
        still = make_file(part.picture if clear else part.picture.convert("RGB"), "WEBP", **({"exact": True} | options))
        pixels = still[30:] if still[12:16] == b"VP8X" else still[12:]
        width, height = part.picture.size
        place = b"".join(map(_three, (part.at[0] // 2, part.at[1] // 2, width - 1, height - 1, 100)))
        chunks += _chunk(b"ANMF", place + bytes(((not part.over) << 1 | part.disposal,)) + pixels)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def seen_by_pillow(data: bytes, media_type: str) -> list[Image.Image]:
    """Return every frame as Pillow composes it, RGBA."""
    image, pictures = open_picture(data, media_type), []
    for index in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(index)
        pictures.append(image.convert("RGBA"))
    return pictures


def seen_in_full(film: Film | None) -> list[Image.Image]:
    """Return every frame of a film that is there, composed in strips and not reduced, RGBA."""
    assert film is not None
    return [image.convert("RGBA") for image in composed(film, (1, 1), 10)]


MAKERS: Final[dict[str, Callable[[tuple[int, int], Sequence[Part]], bytes]]] = {
    "GIF": make_gif,
    "PNG": make_apng,
    "WEBP": lambda size, parts: make_webp(size, parts, lossless=True, quality=0, method=0),
}


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack("<I", len(payload)) + payload + bytes(len(payload) & 1)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")
