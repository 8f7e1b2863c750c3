"""Near-duplicates and bursts stay together."""

import hashlib
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workers.classifying.clusters import cluster, folds_of

APART = [hashlib.sha256(bytes([number])).hexdigest() for number in range(6)]
ALONE = np.eye(6, dtype=np.float32)


def test_what_nothing_links_is_alone() -> None:
    assert cluster(APART, ALONE) == (0, 1, 2, 3, 4, 5)


def test_a_hash_of_few_other_bits_links() -> None:
    near = f"{int(APART[0], 16) ^ 0b1011:064x}"
    assert cluster([*APART[:5], near], ALONE) == (0, 1, 2, 3, 4, 0)


def test_links_of_links_are_one_cluster() -> None:
    burst = ALONE.copy()
    for number, degrees in ((1, 25), (2, 50)):
        burst[number] = 0
        burst[number, :2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    assert cluster(APART, burst) == (0, 0, 0, 1, 2, 3)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60))
def test_folds_keep_clusters_whole(clusters: Sequence[int]) -> None:
    folds = folds_of(clusters, 5)
    assert all(len({fold for fold, one in zip(folds, clusters, strict=True) if one == each}) == 1 for each in clusters)
    largest = max(clusters.count(each) for each in clusters)
    sizes = np.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() <= largest
