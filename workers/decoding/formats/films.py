"""Films of a large canvas, frame by frame, at what a child can hold: GIF, animated PNG and animated WebP.

A small canvas is left to Pillow, which composes it in full.  Runs in the sandbox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from PIL import Image

from workers.decoding.formats.blocks import Pair, rows_of_strips
from workers.decoding.formats.film_canvas import Film, composed, scale_shown
from workers.decoding.formats.gif_film import gif_film
from workers.decoding.formats.png_film import png_film
from workers.decoding.formats.webp_film import webp_film

WHOLE_FILM_PIXELS: Final = 3 << 20
"""Of a canvas that Pillow composes: it takes up to 16 bytes a pixel, 50 MB of so many."""
FILM_STRIP_PIXELS: Final = 1 << 18
"""Of a strip of a frame: of one with clear parts several copies are held, at four bytes a pixel."""

_FILMS: Final[dict[str, Callable[[Image.Image, bytes, int], Film | None]]] = {
    "GIF": gif_film,
    "PNG": png_film,
    "WEBP": webp_film,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedFilm:
    """A film's canvas after every frame, of whose ``size`` = (width, height) ``scale`` = (across, down) became one."""

    images: Iterator[Image.Image]
    size: Pair
    scale: Pair


def reduced_film(image: Image.Image, data: bytes, count: int) -> ReducedFilm | None:
    """Return up to ``count`` frames of a file that Pillow opened; None for what is small, no film, or stored otherwise.

    The frames raise whatever a parser does.
    """
    read = _FILMS.get(image.format or "")
    if read is None or image.width * image.height <= WHOLE_FILM_PIXELS:
        return None
    film = read(image, data, count)
    if film is None:
        return None
    scale = film.scale()
    rows = rows_of_strips(film.size[0], scale[1], FILM_STRIP_PIXELS)
    if not rows:
        return None
    return ReducedFilm(images=composed(film, scale, rows), size=film.size, scale=scale_shown(film.size, scale))
