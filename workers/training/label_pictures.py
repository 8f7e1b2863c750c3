"""The pictures of a labelled data set, as an encoder takes them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from shared.errors import UsageError
from workers.encoders.encoder import Encoder
from workers.training.dataset import held_out, squash

EMBEDDED_AT_ONCE: Final = 64
REPORT_EVERY: Final = 500

type Report = Callable[[str], None]
type Pixels = NDArray[np.uint8]


def read_squares(paths: Sequence[Path], side: int, report: Report) -> tuple[Pixels, NDArray[np.bool_]]:
    """Return N x side x side x 3 pictures, and which of them are held out of every training.

    They are the user's own files, read in this process; raises UsageError naming one that cannot be read.
    """
    squares = np.empty((len(paths), side, side, 3), np.uint8)
    unseen = np.zeros(len(paths), np.bool_)
    for number, path in enumerate(paths):
        try:
            payload = path.read_bytes()
            with Image.open(io.BytesIO(payload)) as image:
                squares[number] = np.asarray(squash(ImageOps.exif_transpose(image).convert("RGB"), side))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UsageError(f"cannot read {path}: {error}") from error
        unseen[number] = held_out(payload)
        if (number + 1) % REPORT_EVERY == 0:
            report(f"read {number + 1} of {len(paths)} pictures")
    return squares, unseen


def embed(squares: Pixels, encoder: Encoder) -> NDArray[np.float32]:
    """Return the encoder's N x D vectors."""
    parts = [
        encoder.embed([square.tobytes() for square in squares[start : start + EMBEDDED_AT_ONCE]])
        for start in range(0, len(squares), EMBEDDED_AT_ONCE)
    ]
    return np.concatenate(parts)
