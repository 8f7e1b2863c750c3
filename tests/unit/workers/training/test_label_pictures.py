"""Pictures of a data set, as an encoder takes them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.errors import UsageError
from workers.encoders.encoder import Encoder
from workers.training.label_pictures import EMBEDDED_AT_ONCE, embed, read_squares


def test_pictures_become_squares_and_a_quarter_is_held_out(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for number, path in enumerate(paths):
        Image.new("RGB", (40, 20), (number * 20, 0, 255)).save(path)
    said: list[str] = []
    squares, unseen = read_squares(paths, 16, said.append)
    assert squares.shape == (12, 16, 16, 3)
    assert squares[3, 0, 0].tolist() == [60, 0, 255]
    assert unseen.tolist() == [int(hashlib.sha256(path.read_bytes()).hexdigest(), 16) % 4 == 0 for path in paths]
    assert said == []


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no")
    for name in ("a.png", "missing.png"):
        with pytest.raises(UsageError, match=f"cannot read .*{name}"):
            read_squares([tmp_path / name], 16, print)


def test_vectors_come_in_order() -> None:
    encoder = Encoder.load()
    rng = np.random.default_rng(1)
    count = EMBEDDED_AT_ONCE + 2
    squares = rng.integers(0, 256, (count, 8, 8, 3), np.uint8).repeat(encoder.side // 8, 1).repeat(encoder.side // 8, 2)
    vectors = embed(squares, encoder)
    assert vectors.shape == (count, encoder.dimension)
    assert vectors[-1] == pytest.approx(embed(squares[-1:], encoder)[0], abs=1e-5)
