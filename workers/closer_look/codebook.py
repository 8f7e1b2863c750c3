"""The codebook of the local features: from 128 floats to 16 bytes, to a word and a few signs, and back.

A descriptor is stored by product quantisation (Jégou, Douze, Schmid, "Product quantization for nearest neighbor
search", PAMI 2011): each of SIFT's 16 cells (8 orientations) as one of 256 centroids.  For search it belongs to one of
65,536 words, the pair of the nearest of 256 centroids of either half (Babenko, Lempitsky, "The inverted multi-index",
CVPR 2012), and the signs of its rotated residual tell it from others of the word (Jégou, Douze, Schmid, "Hamming
embedding and weak geometric consistency", ECCV 2008).

`workers/training/codebook.py` makes it.  It ships as `models/local-v1/codebook.npz` and is named by the first two bytes
of the SHA-256 of that file; codes carry the name, and codes of another codebook are an error, never a low score.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import IntegrityError

DIMENSION: Final = 128
CELLS: Final = 16
CELL: Final = DIMENSION // CELLS
HALVES: Final = 2
HALF: Final = DIMENSION // HALVES
CENTROIDS: Final = 256
SIGNS: Final = 64
"""Signs of the residual kept in an index, one bit each."""
SHIPPED: Final = Path(__file__).parents[1] / "models" / "local-v1" / "codebook.npz"
SINGLE_THREADED: Final = 200_000
"""Multiplications of one product below which OpenBLAS stays on one thread; its interface/gemm.c says 262,144."""
LARGEST: Final = 1_000_000
"""Bytes of a codebook's file."""

type Floats = NDArray[np.float32]
type Bytes = NDArray[np.uint8]

_SHAPES: Final = {
    "centroids": (CELLS, CENTROIDS, CELL),
    "words": (HALVES, CENTROIDS, HALF),
    "rotation": (DIMENSION, SIGNS),
}


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Codebook:
    """Trained tables, all float32; ``name`` is what codes carry, 0..65535.  Two are the same only if they are one.

    ``centroids`` 16 x 256 x 8, one table a cell of the descriptor; ``words`` 2 x 256 x 64, one a half; ``rotation``
    128 x 64, orthonormal columns, the residual's directions of most variance, mixed.
    """

    name: int
    centroids: Floats
    words: Floats
    rotation: Floats

    def encode(self, descriptors: Floats) -> Bytes:
        """n x 128 descriptors as n x 16 codes."""
        cells = descriptors.reshape(-1, CELLS, CELL)
        codes = np.empty((len(cells), CELLS), np.uint8)
        for cell, table in enumerate(self.centroids):
            codes[:, cell] = _squared_distances(cells[:, cell], table).argmin(1)
        return codes

    def decode(self, codes: Bytes) -> Floats:
        """n x 16 codes as the n x 128 descriptors they stand for."""
        return self.centroids[np.arange(CELLS), codes].reshape(-1, DIMENSION)

    def word_distances(self, descriptors: Floats) -> Floats:
        """2 x n x 256: squared distances of each half to its centroids."""
        halves = descriptors.reshape(-1, HALVES, HALF)
        return np.stack([_squared_distances(halves[:, half], table) for half, table in enumerate(self.words)])

    def rotate(self, descriptors: Floats) -> Floats:
        """n x 64: the components whose signs tell features of one word apart."""
        return products(descriptors, self.rotation.T)

    def rotated_words(self) -> Floats:
        """2 x 256 x 64: what each half's centroid takes from a rotated descriptor."""
        parts = self.rotation.reshape(HALVES, HALF, SIGNS)
        return np.stack([products(table, part.T) for table, part in zip(self.words, parts, strict=True)])


def products(points: Floats, others: Floats) -> Floats:
    """n x m inner products of n x d and m x d rows, block by block so that no other core is asked for help.

    300 x 128 by 140 x 128 takes 0.19 ms, in one piece on one thread 0.11; but in one piece OpenBLAS wakes its threads,
    and where other processes keep the cores busy that took 24 to 144 ms (``cv2.gemm`` too).
    """
    result = np.empty((len(points), len(others)), np.float32)
    rows = max(1, SINGLE_THREADED // max(1, others.size))
    whole = len(points) // rows * rows
    blocks = (whole // rows, rows)
    np.matmul(
        points[:whole].reshape(*blocks, points.shape[1]), others.T, out=result[:whole].reshape(*blocks, len(others))
    )
    np.matmul(points[whole:], others.T, out=result[whole:])
    return result


def _squared_distances(points: Floats, centroids: Floats) -> Floats:
    """n x k, less each point's own squared length, which no comparison along a row needs."""
    lengths = np.einsum("kd,kd->k", centroids, centroids)
    return np.asarray(lengths - 2 * products(points, centroids), np.float32)


def read_codebook(payload: bytes) -> Codebook:
    """The codebook in the bytes of a .npz; raises IntegrityError for anything else."""
    if len(payload) > LARGEST:
        raise IntegrityError(f"a codebook has at most {LARGEST} bytes, this one {len(payload)}")
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as tables:
            arrays = {key: np.asarray(tables[key]) for key in _SHAPES}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"the codebook of the local features cannot be read: {error}") from error
    for key, shape in _SHAPES.items():
        if arrays[key].shape != shape or arrays[key].dtype != np.float16 or not np.isfinite(arrays[key]).all():
            raise IntegrityError(f"the codebook's {key} are not {shape} finite half-precision numbers")
    name = int.from_bytes(hashlib.sha256(payload).digest()[:2], "big")
    return Codebook(name=name, **{key: arrays[key].astype(np.float32) for key in _SHAPES})


@lru_cache(maxsize=1)
def shipped_codebook() -> Codebook:
    """The codebook that ships with the product; raises IntegrityError where its file is not what it should be."""
    return read_codebook(SHIPPED.read_bytes())


__all__ = ["CELLS", "DIMENSION", "SIGNS", "Codebook", "products", "read_codebook", "shipped_codebook"]
