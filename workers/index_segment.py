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
from workers.ann_index import AnnIndex, Groups
from workers.block_sketch import read_sketch
from workers.codebook import shipped_codebook
from workers.embeddings import STORED, Vectors, dimension_of, is_finite
from workers.feature_index import LARGEST, FeatureIndex
from workers.index_state import Key
from workers.kept_bytes import total_bytes
from workers.local_features import unpack
from workers.pdq_index import PdqIndex
from workers.row_lookup import RowLookup
from workers.sign_index import SignIndex

Numbers = npt.NDArray[np.intp]
MakeAnn = Callable[[Sequence[bytes], Sequence[tuple[int, int]]], AnnIndex]
"""Makes the index of kept vectors, whose sets are these ranges of rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """References by number 0..n-1, set by set.

    ``owner`` gives the reference of each vector row (ascending), ``starts`` the first row of each reference and the end
    of all; ``set_of`` and ``set_of_row`` the position in ``set_names`` of each reference's and row's set, ``sizes`` how
    many references each has.  ``signs`` are the other views', ``features`` the local features, by reference (None:
    there are none).  ``kept``: bytes kept of all, by kind.
    """

    references: tuple[Reference, ...]
    ann: AnnIndex
    owner: Groups
    starts: Groups
    signs: SignIndex
    features: FeatureIndex | None
    pdq: PdqIndex
    set_names: tuple[str, ...]
    set_of: Groups
    set_of_row: Groups
    sizes: Groups
    kept: Mapping[str, int]
    by_sha256: RowLookup
    by_key: RowLookup

    @classmethod
    def build(cls, references: Sequence[Reference], make_ann: MakeAnn = AnnIndex.build) -> Segment:
        """Build from references that ``check_reference`` let pass; ``make_ann`` indexes their vectors.

        The rows' order depends on the references' order within their sets alone, so a graph fits again later.
        """
        references = sorted(references, key=lambda reference: reference.set)
        stored = [vector for reference in references for vector in reference.vectors]
        counts = np.fromiter((len(reference.vectors) for reference in references), np.int32, len(references))
        set_names = tuple(dict.fromkeys(reference.set for reference in references))
        position = {name: i for i, name in enumerate(set_names)}
        set_of = np.fromiter((position[reference.set] for reference in references), np.int32, len(references))
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        sizes = np.bincount(set_of, minlength=len(set_names)).astype(np.int32)
        edges = starts[np.concatenate([[0], np.cumsum(sizes)])].tolist()
        bits = dimension_of(stored[0]) if stored else 0
        return cls(
            references=tuple(references),
            ann=make_ann(stored, tuple(itertools.pairwise(edges))),
            owner=np.repeat(np.arange(len(references), dtype=np.int32), counts),
            starts=starts,
            signs=SignIndex.build([reference.views for reference in references], bits),
            features=_index_features(references),
            pdq=PdqIndex.build([r.pdq if r.pdq_quality >= MIN_PDQ_QUALITY else "" for r in references]),
            set_names=set_names,
            set_of=set_of,
            set_of_row=np.repeat(set_of, counts),
            sizes=sizes,
            kept=total_bytes(references),
            by_sha256=RowLookup.build(reference.sha256 for reference in references),
            by_key=RowLookup.build((reference.set, reference.reference) for reference in references),
        )

    @property
    def unsearched(self) -> int:
        """How many references have local features that are compared, but not searched."""
        return sum(bool(reference.local) for reference in self.references[LARGEST:])

    def number(self, key: Key) -> int | None:
        """Return the reference's number, None where it is not here."""
        for number in self.by_key.candidates(key):
            if (self.references[number].set, self.references[number].reference) == key:
                return number
        return None

    def identical(self, sha256: str) -> list[int]:
        """Return the references of these very bytes."""
        return [n for n in self.by_sha256.candidates(sha256) if self.references[n].sha256 == sha256]

    def cosines(self, numbers: Numbers, query: Vectors | None) -> npt.NDArray[np.float64]:
        """Return each reference's best cosine with ``query``; NaN where either has no vector."""
        best = np.full(len(numbers), np.nan)
        if query is None or len(self.owner) == 0 or len(numbers) == 0:
            return best
        ranges = [np.arange(self.starts[number], self.starts[number + 1]) for number in numbers]
        rows = np.concatenate(ranges)
        if len(rows):
            place = np.repeat(np.arange(len(numbers)), [len(each) for each in ranges])
            # fmax ignores the NaN that stands for "nothing yet".
            np.fmax.at(best, place, np.clip(np.vecdot(self.ann.take(rows), query), -1.0, 1.0))
        return best


def check_reference(reference: Reference, *, encoder: str, dimension: int | None) -> int | None:
    """Return the dimension of the reference's vectors (None: it has none).

    Raises IntegrityError where they are another encoder's, of another dimension (None: any) or not finite, and where
    local features or sketch are not of this program's making.
    """
    if reference.encoder != encoder:
        raise IntegrityError(f"reference {reference.reference} is of encoder {reference.encoder}, not {encoder}")
    for vector in reference.vectors:
        if len(vector) % STORED.itemsize or not vector or dimension not in (None, dimension_of(vector)):
            raise IntegrityError(f"a vector of reference {reference.reference} has {len(vector)} bytes")
        dimension = dimension_of(vector)
        if not is_finite(vector):
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
