"""The pictures that workers are asked about."""

import io
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.pictures import QUALITY, SIZE, distinct, drawings, make_mix


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


def test_without_archives_everything_is_drawn(tmp_path: Path) -> None:
    mix = make_mix(3, tmp_path)
    assert len({sha256(data).digest() for data in mix.files}) == 3
    assert mix == make_mix(3, tmp_path)
    assert mix.photographs == 0
    assert f"{SIZE[0]} x {SIZE[1]}, quality {QUALITY}" in mix.describe()
    assert "3 drawn by this project" in mix.describe()
    assert "photographs" not in mix.describe()


def test_a_number_makes_another_file_of_the_same_pixels() -> None:
    (data,) = drawings(1, 7)
    one, two = distinct(data, 1), distinct(data, 2)
    assert len({data, one, two}) == 3
    assert pixels(data) == pixels(one) == pixels(two)


def test_only_jpegs_are_told_apart() -> None:
    with pytest.raises(ValueError, match="no JPEG"):
        distinct(b"\x89PNG", 1)
