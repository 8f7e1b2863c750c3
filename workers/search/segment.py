"""A segment: some references of one encoder, ready to be searched, never changed.

A view of the index is a large base segment and a small one of what came since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.core.matching import MIN_PDQ_QUALITY
from shared.errors import IntegrityError
from shared.types import Reference
from workers.closer_look.block_sketch import read_sketch
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.feature_index import LARGEST, FeatureIndex
from workers.closer_look.local_features import unpack
from workers.encoders.embeddings import STORED, Stored, Vectors, dimension_of, is_finite
from workers.references.reference_table import ReferenceTable
from workers.references.row_lookup import rows_of_each
from workers.search.ann_index import AnnIndex, Groups
from workers.search.pdq_index import HASH_BYTES, PdqIndex
from workers.search.sign_index import SignIndex

Numbers = npt.NDArray[np.intp]
MakeAnn = Callable[[Stored], AnnIndex]
"""Makes the index of kept vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """References by number 0..n-1, the rows of their table.

    ``owner`` gives the reference of each vector row (ascending), ``starts`` the first row of each reference and the end
    of all; ``set_of`` and ``set_of_row`` the position in ``set_names`` of each reference's and row's set, ``sizes`` how
    many references each has.  ``signs`` are the other views', ``features`` the local features, by reference (None:
    there are none).  ``kept``: bytes kept of all, by kind; ``unsearched``: how many references have local features that
    are compared, but not searched.
    """

    references: ReferenceTable
    ann: AnnIndex
    owner: Groups
    starts: Groups
    signs: SignIndex
    features: FeatureIndex | None
    pdq: PdqIndex
    set_of: Groups
    set_of_row: Groups
    sizes: Groups
    kept: Mapping[str, int]
    unsearched: int

    @classmethod
    def build(cls, references: ReferenceTable | Iterable[Reference], make_ann: MakeAnn = AnnIndex.build) -> Segment:
        """Build from references that ``check_reference`` let pass; ``make_ann`` indexes their vectors.

        The rows' order is the table's, so its codes fit again later.
        """
        table = ReferenceTable.of(references)
        table.prepare()  # here it is a thread's time
        counts = table.vector_counts.astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        sizes = np.diff(table.set_starts).astype(np.int32)
        set_of = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        stored = _stored(table)
        return cls(
            references=table,
            ann=make_ann(stored),
            owner=np.repeat(np.arange(len(table), dtype=np.int32), counts),
            starts=starts,
            signs=SignIndex.build(table.views, stored.shape[1], table.set_starts),
            features=_index_features(table),
            pdq=_index_hashes(table),
            set_of=set_of,
            set_of_row=np.repeat(set_of, counts),
            sizes=sizes,
            kept=table.kept_bytes(),
            unsearched=int(np.count_nonzero(table.local.lengths()[LARGEST:])),
        )

    @property
    def set_names(self) -> tuple[str, ...]:
        """The sets that have references here."""
        return self.references.set_names

    def cosines(self, numbers: Numbers, query: Vectors | None) -> npt.NDArray[np.float64]:
        """Return each reference's best cosine with ``query``; NaN where either has no vector."""
        best = np.full(len(numbers), np.nan)
        if query is None or len(self.owner) == 0 or len(numbers) == 0:
            return best
        rows, counts = rows_of_each(self.starts, numbers)
        if len(rows):
            cosines = np.clip(np.vecdot(self.ann.take(rows), query), -1.0, 1.0)
            some = counts > 0
            best[some] = np.maximum.reduceat(cosines, (np.cumsum(counts) - counts)[some])
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


def _stored(table: ReferenceTable) -> Stored:
    """Return all kept vectors, one after the other."""
    rows = int(table.vector_counts.sum())
    return table.vectors.data.view(STORED).reshape(rows, -1) if rows else np.empty((0, 0), STORED)


def _index_features(table: ReferenceTable) -> FeatureIndex | None:
    """Index the local features of as many references as can be searched in time; the others are only compared."""
    searched = [table.local[row] for row in range(min(LARGEST, len(table)))] if len(table.local.data) else []
    return FeatureIndex.build(searched, shipped_codebook()) if any(searched) else None


def _index_hashes(table: ReferenceTable) -> PdqIndex:
    """Index the hashes that are good enough to count."""
    lengths = table.pdq.lengths()
    known = (table.pdq_quality >= MIN_PDQ_QUALITY) & (lengths == HASH_BYTES)
    if table.pdq.starts is None and table.pdq.width == HASH_BYTES:
        return PdqIndex.of(table.pdq.matrix(), known)
    packed = np.zeros((len(table), HASH_BYTES), np.uint8)
    packed[lengths == HASH_BYTES] = table.pdq.data.reshape(-1, HASH_BYTES)
    return PdqIndex.of(packed, known)
