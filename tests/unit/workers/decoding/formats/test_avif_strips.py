"""An AVIF in strips shows what Pillow makes of the whole."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.image_factories import make_file, make_picture
from workers.decoding.formats.avif_strips import STRIP_ROWS, avif_strips


def joined(data: bytes, size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    strips = avif_strips(data, size)
    assert strips is not None
    parts = [np.asarray(strip) for strip in strips]
    assert [len(part) for part in parts[:-1]] == [STRIP_ROWS] * (len(parts) - 1)
    return np.concatenate(parts)


@pytest.mark.parametrize("size", [(330, 200), (331, 257), (64, 64), (17, 3)])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4", "4:0:0"])
def test_the_strips_are_the_picture(size: tuple[int, int], subsampling: str) -> None:
    data = make_file(make_picture(*size), "AVIF", subsampling=subsampling)
    whole = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    found = joined(data, size).astype(int)
    assert found.shape == whole.shape
    # Where two strips meet, colours that rows share are not interpolated across.
    assert np.abs(found - whole).mean() < 0.5


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("quality", [75, 100])
def test_clear_parts_are_the_picture_s(mode: str, quality: int) -> None:
    picture = make_picture(331, 257).convert(mode)
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    data = make_file(picture, "AVIF", quality=quality)
    whole = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)
    found = joined(data, picture.size).astype(int)
    assert found.shape == whole.shape == (257, 331, 4)
    np.testing.assert_array_equal(found[..., 3], whole[..., 3])
    assert np.abs(found - whole).mean() < 0.5


def test_several_frames_are_left_to_pillow() -> None:
    file = io.BytesIO()
    frames = [make_picture(100, 80, seed=seed) for seed in (1, 2)]
    frames[0].save(file, "AVIF", save_all=True, append_images=frames[1:])
    assert avif_strips(file.getvalue(), (100, 80)) is None


def test_a_size_that_is_not_the_file_s_is_left_to_pillow() -> None:
    assert avif_strips(make_file(make_picture(100, 80), "AVIF"), (80, 100)) is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_file_that_is_cut_is_an_error(share: float) -> None:
    data = make_file(make_picture(300, 200), "AVIF")
    with pytest.raises(OSError, match=r"\w"):
        list(avif_strips(data[: round(share * len(data))], (300, 200)) or ())
