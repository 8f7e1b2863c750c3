"""A tiled HEIF comes in strips as it comes whole, turned as it says; others are left to pi_heif."""

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from tests.damage import damaged
from tests.image_factories import make_heif
from workers.decoding.formats.heif_tiles import STRIP_ROWS, HeifTiles, heif_tiles
from workers.decoding.formats.picture_formats import open_picture, register
from workers.decoding.pixels import turned

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


def test_a_tile_that_cannot_be_decoded_is_black_and_the_others_are_seen() -> None:
    data = TILED[:-300]
    seen, expected = (np.asarray(image, np.int16) for image in (by_strips(data), whole(data)))
    missing = (seen == 0).all(axis=2)
    assert 0.05 < missing.mean() < 0.5
    np.testing.assert_array_equal(seen[~missing], expected[~missing])


def test_a_picture_none_of_whose_tiles_can_be_decoded_is_refused() -> None:
    data = TILED[: TILED.index(b"mdat") + 4]
    with pytest.raises(OSError, match=r"."):
        by_strips(data)


@settings(max_examples=100)
@given(damaged(TILED))
def test_any_bytes_are_a_picture_or_a_named_error(data: bytes) -> None:
    try:
        image = open_picture(data, "image/heif")
        tiles = heif_tiles(image, data)
        if tiles is None:
            return
        rows = sum(strip.height for strip in tiles.strips)
    except (OSError, ValueError, SyntaxError, RuntimeError):
        return
    assert rows == tiles.size[1]
