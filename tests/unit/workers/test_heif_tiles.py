"""A tiled HEIF comes in strips as it comes whole, turned as it says; others are left to pi_heif."""

import numpy as np
import pytest
from PIL import Image

from tests.image_factories import make_heif
from workers.heif_tiles import STRIP_ROWS, HeifTiles, heif_tiles
from workers.picture_formats import open_picture, register
from workers.pixels import turned

register()
TILED = make_heif("tiles")
ROTATION = TILED.index(b"irot") + 4


def tiles_of(data: bytes) -> HeifTiles | None:
    return heif_tiles(open_picture(data, "image/heif"), data)


def whole(data: bytes) -> Image.Image:
    image = open_picture(data, "image/heif")
    image.load()
    return image


def by_strips(data: bytes) -> Image.Image:
    tiles = tiles_of(data)
    assert tiles is not None
    strips = list(tiles.strips)
    assert max(strip.height for strip in strips) <= STRIP_ROWS
    stored = Image.fromarray(np.concatenate([np.asarray(strip) for strip in strips]))
    assert stored.size == tiles.size
    return turned(stored, tiles.orientation)


@pytest.mark.parametrize(("quarters", "orientation"), [(0, 1), (1, 8), (2, 3), (3, 6)])
def test_every_turn_is_the_library_s(quarters: int, orientation: int) -> None:
    data = TILED[:ROTATION] + bytes([quarters]) + TILED[ROTATION + 1 :]
    tiles = tiles_of(data)
    assert tiles is not None
    assert tiles.orientation == orientation
    np.testing.assert_array_equal(np.asarray(by_strips(data)), np.asarray(whole(data)))


@pytest.mark.parametrize("axis", [0, 1])
def test_every_mirror_is_the_library_s(axis: int) -> None:
    data = TILED[: ROTATION - 4] + b"imir" + bytes([axis]) + TILED[ROTATION + 1 :]
    np.testing.assert_array_equal(np.asarray(by_strips(data)), np.asarray(whole(data)))


@pytest.mark.parametrize("name", ["photograph", "burst", "white_on_clear"])
def test_what_is_no_grid_is_left_to_pi_heif(name: str) -> None:
    assert tiles_of(make_heif(name)) is None


def test_a_picture_of_another_size_is_left_to_pi_heif() -> None:
    assert heif_tiles(Image.new("RGB", (330, 200)), TILED) is None


def test_a_file_that_breaks_off_is_refused() -> None:
    image = open_picture(TILED, "image/heif")
    with pytest.raises(OSError, match=r"."):
        heif_tiles(image, TILED[:40])


@pytest.mark.parametrize("left", [300, 1200])
def test_a_tile_that_breaks_off_is_refused_or_as_the_library_shows_it(left: int) -> None:
    data = TILED[:-left]
    try:
        expected = np.asarray(whole(data))
    except (OSError, ValueError, RuntimeError):
        expected = None
    try:
        found = np.asarray(by_strips(data))
    except OSError:
        return
    assert expected is not None
    np.testing.assert_array_equal(found, expected)
