"""Perceptual hashes as text: 256 bits, 64 hexadecimal digits, first bit first.

A query carries eight variants of its PDQ hash, one for each way of turning and mirroring a picture (the dihedral group
of the square), so that a stored reference needs only its upright one.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

HASH_BITS: Final = 256


class Variant(IntEnum):
    """Which transform of the query picture a dihedral variant is the hash of; turns are counter-clockwise."""

    UPRIGHT = 0
    TURN_90 = 1
    TURN_180 = 2
    TURN_270 = 3
    FLIP_TOP_BOTTOM = 4
    FLIP_LEFT_RIGHT = 5
    TRANSPOSE = 6
    TRANSVERSE = 7


def hamming(a: str, b: str) -> int:
    """Return the number of bits in which two hashes of 64 hexadecimal digits differ."""
    return (int(a, 16) ^ int(b, 16)).bit_count()


def nearest_variant(variants: Sequence[str], reference: str) -> tuple[int, Variant]:
    """Return the least distance between ``reference`` and the eight variants, and which variant has it."""
    wanted = int(reference, 16)
    distances = [(int(variant, 16) ^ wanted).bit_count() for variant in variants]
    best = min(range(len(distances)), key=distances.__getitem__)
    return distances[best], Variant(best)
