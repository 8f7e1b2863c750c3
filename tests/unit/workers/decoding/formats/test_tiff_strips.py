"""A TIFF comes in strips as it comes whole, however it is compressed, and is refused as whole."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.image_factories import make_animation, make_file, make_picture
from workers.decoding.formats.picture_formats import open_picture
from workers.decoding.formats.tiff_strips import tiff_layout, tiff_strips
from workers.decoding.pixels import reducible

WIDTH, HEIGHT = 203, 150
PICTURE = make_picture(WIDTH, HEIGHT)
ALL = 1 << 20
ROWS = 278
BYTES = {
    "RGB": ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma"),
    "1": ("group3", "group4"),
}
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")


def make_tiff(picture: Image.Image = PICTURE, rows: int = 16, **tags: object) -> bytes:
    options = {name: tags.pop(name) for name in ("compression", "big_tiff") if name in tags}
    info = {ROWS: rows} | {int(name.removeprefix("tag_")): value for name, value in tags.items()}
    return make_file(picture, "TIFF", tiffinfo=info, **options)


def tiled(width: int, height: int) -> bytes:
    """Return a TIFF of two by two tiles of Deflate, from one whose strips are tiles already, one beside the other."""
    samples = np.asarray(PICTURE.resize((2 * width, 2 * height)).convert("L"))
    rows = np.concatenate(
        [samples[:height, :width], samples[:height, width:], samples[height:, :width], samples[height:, width:]]
    )
    data = bytearray(make_tiff(Image.fromarray(rows), rows=height, compression="tiff_adobe_deflate"))
    return bytes(_as_tiles(data, width, height))


def _as_tiles(data: bytearray, width: int, height: int) -> bytearray:
    """Rename the tags of strips in place: the four parts stay where they are."""
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    entries = [bytes(data[start + 2 + 12 * n : start + 14 + 12 * n]) for n in range(count)]
    kept = {int.from_bytes(entry[:2], "little"): entry[2:] for entry in entries}
    kept[324], kept[325] = kept.pop(273), kept.pop(279)
    long = (4).to_bytes(2, "little") + (1).to_bytes(4, "little")
    kept |= {256: long + (2 * width).to_bytes(4, "little"), 257: long + (2 * height).to_bytes(4, "little")}
    kept |= {322: long + width.to_bytes(4, "little"), 323: long + height.to_bytes(4, "little")}
    kept.pop(ROWS)
    directory = len(kept).to_bytes(2, "little")
    directory += b"".join(tag.to_bytes(2, "little") + kept[tag] for tag in sorted(kept)) + bytes(4)
    data[4:8] = len(data).to_bytes(4, "little")
    return data + directory


def by_strips(data: bytes, rows: int = 40) -> NDArray[np.uint8]:
    image = open_picture(data, "image/tiff")
    layout = tiff_layout(image, ALL)
    assert layout is not None
    strips = [np.asarray(reducible(strip).convert("RGBA")) for strip in tiff_strips(data, layout, rows)]
    assert len(strips) > 1
    return np.concatenate(strips)


def whole(data: bytes) -> NDArray[np.uint8]:
    image = open_picture(data, "image/tiff")
    image.load()
    return np.asarray(reducible(image).convert("RGBA"))


@pytest.mark.parametrize(("mode", "how"), [(mode, how) for mode, hows in BYTES.items() for how in hows])
def test_every_compression_is_read(mode: str, how: str) -> None:
    data = make_tiff(PICTURE.convert(mode), compression=how)
    np.testing.assert_array_equal(by_strips(data), whole(data))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["raw", "tiff_lzw"])
def test_every_mode_is_read(mode: str, how: str) -> None:
    data = make_tiff(PICTURE.convert(mode), compression=how)
    np.testing.assert_array_equal(by_strips(data), whole(data))


@pytest.mark.parametrize("tags", [{"tag_317": 2}, {"big_tiff": True}, {"rows": 1}, {"rows": 7}])
def test_every_shape_of_strips_is_read(tags: dict[str, int]) -> None:
    data = make_tiff(compression="tiff_lzw", **tags)  # type: ignore[arg-type]
    np.testing.assert_array_equal(by_strips(data), whole(data))


def test_sixteen_bits_of_either_order_are_read() -> None:
    deep = Image.fromarray(np.asarray(PICTURE.convert("L")).astype(np.uint16) * 257)
    for mode in ("I;16", "I;16B"):
        data = make_file(deep.convert(mode), "TIFF", tiffinfo={ROWS: 16})
        np.testing.assert_array_equal(by_strips(data), whole(data))


def test_one_strip_that_is_not_compressed_is_cut() -> None:
    data = make_tiff(rows=HEIGHT)
    np.testing.assert_array_equal(by_strips(data), whole(data))


def test_tiles_are_read_a_row_at_a_time() -> None:
    data = tiled(64, 48)
    np.testing.assert_array_equal(by_strips(data, rows=48), whole(data))


def test_a_picture_is_not_turned() -> None:
    data = make_tiff(tag_274=6)
    assert whole(data).shape[:2] == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(by_strips(data), whole(make_tiff()))


def test_every_page_has_its_strips() -> None:
    other = make_picture(WIDTH, HEIGHT, seed=2)
    data = make_animation(PICTURE, other, image_format="TIFF", compression="tiff_lzw")
    image = open_picture(data, "image/tiff")
    image.seek(1)
    layout = tiff_layout(image, ALL)
    assert layout is not None
    strips = [np.asarray(strip) for strip in tiff_strips(data, layout, 40)]
    np.testing.assert_array_equal(np.concatenate(strips), np.asarray(other))


def test_what_is_cut_off_is_refused_as_before() -> None:
    data = make_tiff()
    short = data[: len(data) - len(data) // 4]
    for look in (whole, by_strips):
        with pytest.raises(OSError, match="truncated"):
            look(short)


def test_what_is_damaged_is_refused_as_before() -> None:
    data = make_tiff(compression="tiff_adobe_deflate")
    for look in (whole, by_strips):
        with pytest.raises(OSError, match="decoder error"):
            look(data[:20] + bytes(200) + data[220:])


@pytest.mark.parametrize(
    "data",
    [
        make_tiff(compression="tiff_lzw", rows=HEIGHT),
        make_tiff(tag_284=2, compression="tiff_lzw"),
        make_tiff(compression="tiff_lzw").replace(b"\x16\x01\x03\0", b"\x16\x01\x02\0", 1),
    ],
    ids=["one large strip", "planes", "nonsense"],
)
def test_what_is_stored_in_another_way_has_no_layout(data: bytes) -> None:
    assert tiff_layout(open_picture(data, "image/tiff"), WIDTH * HEIGHT - 1) is None
