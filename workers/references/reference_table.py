"""Many references as columns: a reference is an object only when somebody asks for it.

Rows lie set by set, by name, and within a set in order of arrival.  A segment searches these columns, the state of the
index stands on them, and a snapshot holds them byte for byte: they are in memory once and load as fast as they are
read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.errors import IntegrityError
from shared.types import Reference
from workers.references.byte_column import ByteColumn, Rows
from workers.references.row_lookup import RowLookup

DIGEST_BYTES: Final = 32
HASH_BYTES: Final = 8
KEPT: Final = ("vectors", "views", "pdq", "local", "sketch", "thumbnail")
"""The columns that are kept of an image; the others name it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferenceTable:
    """References by row; ``set_starts`` (sets + 1) says where each of ``set_names`` begins.

    ``encoder_of`` is the place in ``encoders``, ``source_of`` that of the one that the vectors were converted from;
    ``vector_counts`` how many vectors the bytes in ``vectors`` are; ``key_hashes`` those of ``hash_key``; ``sha256``
    and ``pdq`` are bytes, not digits.
    """

    set_names: tuple[str, ...]
    encoders: tuple[str, ...]
    set_starts: npt.NDArray[np.int64]
    key_hashes: npt.NDArray[np.int64]
    encoder_of: npt.NDArray[np.uint16]
    source_of: npt.NDArray[np.uint16]
    pdq_quality: npt.NDArray[np.int16]
    vector_counts: npt.NDArray[np.uint16]
    reference: ByteColumn
    name: ByteColumn
    sha256: ByteColumn
    pdq: ByteColumn
    vectors: ByteColumn
    views: ByteColumn
    local: ByteColumn
    sketch: ByteColumn
    thumbnail: ByteColumn

    @classmethod
    def of(cls, references: ReferenceTable | Iterable[Reference]) -> ReferenceTable:
        """Return references as a table; raises IntegrityError for one whose SHA-256 or hash are no digits."""
        if isinstance(references, ReferenceTable):
            return references
        rows = sorted(references, key=attrgetter("set"))
        sizes = Counter(row.set for row in rows)
        encoders = _numbered(each for row in rows for each in (row.encoder, row.converted_from))
        try:
            digests = [bytes.fromhex(row.sha256) for row in rows]
            hashes = [bytes.fromhex(row.pdq) for row in rows]
        except ValueError as error:
            raise IntegrityError(f"a reference's digest or hash is no number: {error}") from error
        if any(len(digest) != DIGEST_BYTES for digest in digests):
            raise IntegrityError("a reference's SHA-256 has not 64 digits")
        count = len(rows)
        return cls(
            set_names=tuple(sizes),
            encoders=tuple(encoders),
            set_starts=np.cumsum([0, *sizes.values()], dtype=np.int64),
            key_hashes=np.fromiter((hash_key(row.set, row.reference) for row in rows), np.int64, count),
            encoder_of=np.fromiter((encoders[row.encoder] for row in rows), np.uint16, count),
            source_of=np.fromiter((encoders[row.converted_from] for row in rows), np.uint16, count),
            pdq_quality=np.fromiter((row.pdq_quality for row in rows), np.int16, count),
            vector_counts=np.fromiter((len(row.vectors) for row in rows), np.uint16, count),
            reference=ByteColumn.of([row.reference.encode() for row in rows]),
            name=ByteColumn.of([row.name.encode() for row in rows]),
            sha256=ByteColumn.of(digests),
            pdq=ByteColumn.of(hashes),
            vectors=ByteColumn.of([b"".join(row.vectors) for row in rows]),
            views=ByteColumn.of([row.views for row in rows]),
            local=ByteColumn.of([row.local for row in rows]),
            sketch=ByteColumn.of([row.sketch for row in rows]),
            thumbnail=ByteColumn.of([row.thumbnail for row in rows]),
        )

    @classmethod
    def gathered(cls, pieces: Sequence[tuple[ReferenceTable, npt.NDArray[np.bool_]]]) -> ReferenceTable:
        """Return the rows of several tables that are alive, of each set those of the first table first."""
        names = tuple(sorted({name for table, _ in pieces for name in table.set_names}))
        spans = [[(table, table.rows_of(name, alive)) for table, alive in pieces] for name in names]
        sizes = [sum(len(rows) for _, rows in of_set) for of_set in spans]
        kept = [(name, size, of_set) for name, size, of_set in zip(names, sizes, spans, strict=True) if size]
        chosen = [(table, rows) for _, _, of_set in kept for table, rows in of_set if len(rows)]
        encoders = _numbered(encoder for table, _ in chosen for encoder in table.encoders)

        def numbers(column: str, kind: type[np.generic]) -> npt.NDArray[Any]:
            return np.concatenate([np.empty(0, kind), *(getattr(t, column)[rows] for t, rows in chosen)], dtype=kind)

        def renumbered(column: str) -> npt.NDArray[np.uint16]:
            places = [np.array([encoders[e] for e in t.encoders], np.uint16)[getattr(t, column)[r]] for t, r in chosen]
            return np.concatenate([np.empty(0, np.uint16), *places])

        return cls(
            set_names=tuple(name for name, _, _ in kept),
            encoders=tuple(encoders),
            set_starts=np.cumsum([0, *(size for _, size, _ in kept)], dtype=np.int64),
            key_hashes=numbers("key_hashes", np.int64),
            encoder_of=renumbered("encoder_of"),
            source_of=renumbered("source_of"),
            pdq_quality=numbers("pdq_quality", np.int16),
            vector_counts=numbers("vector_counts", np.uint16),
            **{c: ByteColumn.gathered([(getattr(t, c), rows) for t, rows in chosen]) for c in BYTE_COLUMNS},
        )

    def __len__(self) -> int:
        return len(self.key_hashes)

    def __getitem__(self, row: int) -> Reference:
        if not 0 <= row < len(self):
            raise IndexError(row)
        vectors, count = self.vectors[row], int(self.vector_counts[row])
        size = len(vectors) // count if count else 0
        return Reference(
            set=self.set_names[int(np.searchsorted(self.set_starts, row, "right")) - 1],
            reference=self.reference[row].decode(),
            name=self.name[row].decode(),
            sha256=self.sha256[row].hex(),
            pdq=self.pdq[row].hex(),
            pdq_quality=int(self.pdq_quality[row]),
            encoder=self.encoders[int(self.encoder_of[row])],
            vectors=tuple(vectors[place * size : (place + 1) * size] for place in range(count)),
            views=self.views[row],
            local=self.local[row],
            sketch=self.sketch[row],
            thumbnail=self.thumbnail[row],
            converted_from=self.encoders[int(self.source_of[row])],
        )

    def __iter__(self) -> Iterator[Reference]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReferenceTable) and len(self) == len(other) and all(map(_same, self, other))

    __hash__ = None  # type: ignore[assignment]  # compared by content, which nobody wants to hash

    @cached_property
    def sets(self) -> Mapping[str, range]:
        """The rows of each set."""
        edges = pairwise(self.set_starts.tolist())
        return {name: range(first, last) for name, (first, last) in zip(self.set_names, edges, strict=True)}

    @cached_property
    def by_key(self) -> RowLookup:
        """Rows by ``hash_key``."""
        return RowLookup.build(self.key_hashes)

    @cached_property
    def by_sha256(self) -> RowLookup:
        """Rows by the first bytes of their SHA-256."""
        starts = np.ascontiguousarray(self.sha256.matrix()[:, :HASH_BYTES]) if len(self) else np.empty(0, np.uint8)
        return RowLookup.build(starts.view("<i8").reshape(-1))

    def prepare(self) -> None:
        """Make both look-ups, 0.15 s each for a million, which would else be made when they are first asked for."""
        _ = self.by_key, self.by_sha256

    def rows_of(self, name: str, alive: npt.NDArray[np.bool_]) -> Rows:
        """Return a set's rows that are alive."""
        rows = self.sets.get(name, range(0))
        return rows.start + np.flatnonzero(alive[rows.start : rows.stop])

    def number(self, set_name: str, reference: str) -> int | None:
        """Return the row of a reference, None where it is not here."""
        rows, wanted = self.sets.get(set_name, range(0)), reference.encode()
        for row in self.by_key.candidates(hash_key(set_name, reference)):
            if row in rows and self.reference[row] == wanted:
                return row
        return None

    def identical(self, sha256: str) -> list[int]:
        """Return the rows of these very bytes."""
        try:
            digest = bytes.fromhex(sha256)
        except ValueError:
            return []
        rows = self.by_sha256.candidates(int.from_bytes(digest[:HASH_BYTES], "little", signed=True))
        return [row for row in rows if self.sha256[row] == digest]

    def kept_bytes(self, rows: Rows | slice = slice(None)) -> Counter[str]:
        """Return how many bytes are kept of references, by what they are."""
        return Counter({kind: int(getattr(self, kind).lengths()[rows].sum()) for kind in KEPT})

    def encoder_counts(self, rows: Rows | slice = slice(None)) -> Counter[str]:
        """Return how many references there are of each encoder."""
        counts = np.bincount(self.encoder_of[rows], minlength=len(self.encoders)).tolist()
        return Counter({encoder: size for encoder, size in zip(self.encoders, counts, strict=True) if size})


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """A reference of a table that is read as it is asked for: whole ones took a third of a search with many hits."""

    table: ReferenceTable
    row: int
    set: str

    @property
    def reference(self) -> str:
        """As in ``Reference``; so are the others."""
        return self.table.reference[self.row].decode()

    @property
    def name(self) -> str:
        """The name that is shown."""
        return self.table.name[self.row].decode()

    @property
    def sha256(self) -> str:
        """The digest of its file."""
        return self.table.sha256[self.row].hex()

    @property
    def local(self) -> bytes:
        """Its local features, packed."""
        return self.table.local[self.row]

    @property
    def sketch(self) -> bytes:
        """The signature of its blocks, packed."""
        return self.table.sketch[self.row]


BYTE_COLUMNS: Final = tuple(each.name for each in fields(ReferenceTable) if each.type == "ByteColumn")
NUMBER_COLUMNS: Final = ("set_starts", "key_hashes", "encoder_of", "source_of", "pdq_quality", "vector_counts")


def hash_key(set_name: str, reference: str) -> int:
    """Return 64 bits of (set, reference), the same in every process."""
    hashed = blake2b(reference.encode(), digest_size=HASH_BYTES, key=blake2b(set_name.encode()).digest())
    return int.from_bytes(hashed.digest(), "little", signed=True)


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def _same(one: Reference, other: Reference) -> bool:
    return one == other


__all__ = ["BYTE_COLUMNS", "KEPT", "NUMBER_COLUMNS", "ReferenceRow", "ReferenceTable", "hash_key"]
