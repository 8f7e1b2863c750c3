"""A segment: some references of one encoder, ready to be searched, never changed.

A view of the index is a large base segment and a small one of what came since.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.core.matching import MIN_PDQ_QUALITY
from shared.errors import IntegrityError
from shared.types import Reference
from workers.ann_index import AnnIndex, Vectors
from workers.block_sketch import read_sketch
from workers.codebook import shipped_codebook
from workers.feature_index import LARGEST, FeatureIndex
from workers.index_state import Key
from workers.local_features import unpack
from workers.pdq_index import PdqIndex
from workers.sign_index import SignIndex

Numbers = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """References by number 0..n-1, set by set.

    ``owner`` gives the reference of each vector row (ascending); ``set_of`` the position in ``set_names`` of each
    reference's set, ``blocks`` the range of rows of each set.  ``signs`` are the other views', ``features`` the local
    features, by reference (None: there are none).
    """

    references: tuple[Reference, ...]
    ann: AnnIndex
    owner: Numbers
    signs: SignIndex
    features: FeatureIndex | None
    pdq: PdqIndex
    set_names: tuple[str, ...]
    set_of: Numbers
    blocks: tuple[tuple[int, int], ...]
    by_sha256: Mapping[str, tuple[int, ...]]
    number_of: Mapping[Key, int]

    @classmethod
    def build(
        cls,
        references: Sequence[Reference],
        make_ann: Callable[[Vectors], AnnIndex] = AnnIndex.build,
    ) -> Segment:
        """Build from references that ``check_reference`` let pass; ``make_ann`` indexes the stacked vectors.

        The rows' order depends on the references' order within their sets alone, so a graph fits again later.
        """
        references = sorted(references, key=lambda reference: reference.set)
        vectors = [vector for reference in references for vector in reference.vectors]
        owner = np.repeat(
            np.arange(len(references), dtype=np.intp), [len(reference.vectors) for reference in references]
        )
        set_names = tuple(dict.fromkeys(reference.set for reference in references))
        position = {name: i for i, name in enumerate(set_names)}
        set_of = np.array([position[reference.set] for reference in references], dtype=np.intp)
        edges = np.searchsorted(set_of[owner], np.arange(len(set_names) + 1)).tolist()
        return cls(
            references=tuple(references),
            ann=make_ann(_stack(vectors)),
            owner=owner,
            signs=SignIndex.build([reference.views for reference in references], _dimension(vectors)),
            features=_index_features(references),
            pdq=PdqIndex.build([r.pdq if r.pdq_quality >= MIN_PDQ_QUALITY else "" for r in references]),
            set_names=set_names,
            set_of=set_of,
            blocks=tuple(itertools.pairwise(edges)),
            by_sha256=_group_by_sha256(references),
            number_of={(reference.set, reference.reference): i for i, reference in enumerate(references)},
        )

    @property
    def unsearched(self) -> int:
        """How many references have local features that are compared, but not searched."""
        return sum(bool(reference.local) for reference in self.references[LARGEST:])

    def cosines(self, numbers: Numbers, query: Vectors | None) -> npt.NDArray[np.float64]:
        """Return each reference's best cosine with ``query``; NaN where either has no vector."""
        best = np.full(len(numbers), np.nan)
        if query is None or len(self.owner) == 0 or len(numbers) == 0:
            return best
        place = np.full(len(self.references), -1, dtype=np.intp)
        place[numbers] = np.arange(len(numbers))
        rows = np.flatnonzero(place[self.owner] >= 0)
        # fmax ignores the NaN that stands for "nothing yet".
        np.fmax.at(best, place[self.owner[rows]], np.clip(np.vecdot(self.ann.vectors[rows], query), -1.0, 1.0))
        return best


def check_reference(reference: Reference, *, encoder: str, dimension: int | None) -> int | None:
    """Return the dimension of the reference's vectors (None: it has none).

    Raises IntegrityError where they are another encoder's, of another dimension (None: any) or not finite, and where
    local features or sketch are not of this program's making.
    """
    if reference.encoder != encoder:
        raise IntegrityError(f"reference {reference.reference} is of encoder {reference.encoder}, not {encoder}")
    for vector in reference.vectors:
        if len(vector) % 4 or not vector or (dimension is not None and len(vector) != 4 * dimension):
            raise IntegrityError(f"a vector of reference {reference.reference} has {len(vector)} bytes")
        dimension = len(vector) // 4
        if not np.isfinite(np.frombuffer(vector, dtype="<f4")).all():
            raise IntegrityError(f"a vector of reference {reference.reference} is not finite")
    if reference.views and (dimension is None or len(reference.views) % (dimension // 8)):
        raise IntegrityError(f"the views of reference {reference.reference} have {len(reference.views)} bytes")
    if reference.local:
        unpack(reference.local, shipped_codebook())
    if reference.sketch:
        read_sketch(reference.sketch)
    return dimension


def _index_features(references: Sequence[Reference]) -> FeatureIndex | None:
    """Index the local features of as many references as can be searched in time; the others are only compared."""
    searched = [reference.local for reference in references[:LARGEST]]
    return FeatureIndex.build(searched, shipped_codebook()) if any(searched) else None


def _dimension(vectors: Sequence[bytes]) -> int:
    return len(vectors[0]) // 4 if vectors else 0


def _stack(vectors: Sequence[bytes]) -> Vectors:
    if not vectors:
        return np.empty((0, 0), dtype=np.float32)
    return np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(vectors), -1).astype(np.float32, copy=False)


def _group_by_sha256(references: Sequence[Reference]) -> dict[str, tuple[int, ...]]:
    groups: dict[str, tuple[int, ...]] = {}
    for number, reference in enumerate(references):
        groups[reference.sha256] = (*groups.get(reference.sha256, ()), number)
    return groups
