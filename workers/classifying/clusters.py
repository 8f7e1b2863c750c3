"""Which examples belong together: near-duplicates and bursts, so that none is tested by a head that knows its twin.

Two examples are linked by a PDQ distance of at most PDQ_BITS, or by a cosine of their rows of at least COSINE; a
cluster is what links connect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.classifying.dense_features import Floats

PDQ_BITS: Final = 60
COSINE: Final = 0.85
"""Of 1,785 documents, 362 of 1,592,220 pairs lie nearer; all of them are of one label."""


def cluster(pdqs: Sequence[str], directions: Floats) -> tuple[int, ...]:
    """Return each example's cluster, numbered by first appearance, from its PDQ (hexadecimal) and its row, L2 = 1."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex("".join(pdqs)), np.uint8).reshape(len(pdqs), -1), axis=1)
    signs = bits.astype(np.float32) * 2 - 1
    apart = (signs.shape[1] - signs @ signs.T) / 2
    linked = (apart <= PDQ_BITS) | (directions @ directions.T >= COSINE)
    numbers = np.full(len(pdqs), -1, np.intp)
    count = 0
    for first in range(len(pdqs)):
        if numbers[first] < 0:
            _spread(linked, numbers, first, count)
            count += 1
    return tuple(int(number) for number in numbers)


def folds_of(clusters: Sequence[int], count: int) -> NDArray[np.intp]:
    """Return each example's fold, 0..count - 1: clusters whole, the largest first, each to the emptiest fold."""
    numbers, sizes = np.unique(clusters, return_counts=True)
    filled = np.zeros(count, np.intp)
    fold_of = {}
    for position in np.argsort(-sizes, kind="stable"):
        fold = int(filled.argmin())
        fold_of[int(numbers[position])] = fold
        filled[fold] += sizes[position]
    return np.array([fold_of[number] for number in clusters], np.intp)


def _spread(linked: NDArray[np.bool_], numbers: NDArray[np.intp], first: int, number: int) -> None:
    reached = [first]
    numbers[first] = number
    while reached:
        for other in np.flatnonzero(linked[reached.pop()] & (numbers < 0)):
            numbers[other] = number
            reached.append(int(other))
