"""Thousands of labels for pictures that have none, to compare methods by: of what is seen, and of each other.

A picture's colours and edges, coarsely, are its latent place; each label is a half-space of that place.  Labels form a
tree (a child's direction leans on its parent's) and thin out like Zipf's law, and a share of them is forgotten, as
people do.  Nothing here knows the encoder.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.labels.space import Presence

CHUNK: Final = 256
"""Pictures at a time: one of 128 px takes 1.5 MB on the way."""
GRID: Final = 4
ORIENTATIONS: Final = 8
LATENT: Final = 48
BRANCHES: Final = 6
LEANING: Final = 0.8
MOST: Final = 0.08
LEAST: Final = 0.002
"""Shares of the pictures that have the commonest and the rarest label."""
FORGOTTEN: Final = 0.1


def appearance(squares: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return N x 176 from N x S x S x 3 pictures: mean colour and edge directions of 4 x 4 cells."""
    return np.concatenate([_cells(squares[start : start + CHUNK]) for start in range(0, len(squares), CHUNK)])


def _cells(squares: NDArray[np.uint8]) -> NDArray[np.float32]:
    count, side = squares.shape[:2]
    cell = side // GRID
    pixels = squares[:, : cell * GRID, : cell * GRID].astype(np.float32) / 255.0
    colour = pixels.reshape(count, GRID, cell, GRID, cell, 3).mean(axis=(2, 4))
    grey = pixels.mean(axis=3)
    down, across = np.gradient(grey, axis=(1, 2))
    turn = np.floor((np.arctan2(down, across) / np.pi % 1.0) * ORIENTATIONS).astype(np.int64) % ORIENTATIONS
    strength = np.hypot(down, across)
    edges = np.stack(
        [
            np.where(turn == each, strength, 0.0).reshape(count, GRID, cell, GRID, cell).mean(axis=(2, 4))
            for each in range(ORIENTATIONS)
        ],
        axis=-1,
    )
    return np.concatenate([colour.reshape(count, -1), edges.reshape(count, -1)], axis=1).astype(np.float32)


def simulate(features: NDArray[np.float32], labels: int, seed: int) -> Presence:
    """Return N x ``labels``: what each picture is labelled with; every label is on at least one picture."""
    rng = np.random.default_rng(seed)
    centred = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(LATENT, len(values))
    latent = left[:, :kept] * np.sqrt(len(features))  # whitened: no colour outweighs all the rest
    directions = _tree(labels, kept, rng)
    shares = MOST * (LEAST / MOST) ** (np.arange(labels) / max(1, labels - 1))
    presence = np.zeros((len(features), labels), np.bool_)
    for number in range(labels):
        along = latent @ directions[number]
        presence[:, number] = along >= np.quantile(along, 1.0 - shares[number])
    forgotten = rng.random(presence.shape) < FORGOTTEN
    thinned = presence & ~forgotten
    return np.where(thinned.any(axis=0), thinned, presence)


def _tree(labels: int, dimension: int, rng: np.random.Generator) -> NDArray[np.float64]:
    directions = rng.standard_normal((labels, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for number in range(BRANCHES, labels):
        parent = directions[(number - BRANCHES) // BRANCHES]
        leaning = LEANING * parent + np.sqrt(1 - LEANING**2) * directions[number]
        directions[number] = leaning / np.linalg.norm(leaning)
    return directions
