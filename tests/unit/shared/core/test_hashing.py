"""Distances between hashes, and the nearest of eight variants."""

from shared.core.hashing import HASH_BITS, Variant, hamming, nearest_variant

ZERO = "0" * 64
FIRST_BIT = "8" + "0" * 63
ALL = "f" * 64


def test_distance_counts_bits() -> None:
    assert hamming(ZERO, ZERO) == 0
    assert hamming(ZERO, FIRST_BIT) == 1
    assert hamming(ZERO, ALL) == HASH_BITS


def test_nearest_variant_is_named() -> None:
    variants = [ALL] * 8
    variants[Variant.TURN_180] = FIRST_BIT
    assert nearest_variant(variants, ZERO) == (1, Variant.TURN_180)


def test_the_upright_variant_wins_a_tie() -> None:
    assert nearest_variant([ZERO] * 8, ZERO) == (0, Variant.UPRIGHT)
