"""The bytes of an index snapshot: a signed header, and sealed parts of what it lists.

Header: ``SLIX``, version, length, JSON, HMAC-SHA256 of all before it.  It names the encoder, the log position, the
counts and the length of every column.  The columns, one after the other, are cut into parts of `PART_BYTES`, each
sealed for its place in this very snapshot (AES-256-GCM with the snapshot's random name and the part's number), so
everything is refused that is cut off, changed, another deployment's, encoder's or snapshot's, before it is used (an
index library's own file is trusted by it: https://github.com/nmslib/hnswlib/issues/673).  Parts are sealed as well
because embeddings and set names tell about the images.

Parts are opened straight into the memory in which the columns then stay, in any order and in several threads at once.
What the references hold was checked when they were indexed by the worker that wrote the snapshot, and is not again.
"""

from __future__ import annotations

import json
import secrets
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

import numpy as np

from shared.codec import decode_sets, encode_sets
from shared.errors import IntegrityError, WireError
from shared.sealing import OVERHEAD_BYTES, SIGNATURE_BYTES, Sealer
from shared.types import SetCreated
from workers.references.reference_table import ReferenceTable
from workers.references.table_columns import from_columns, to_columns
from workers.search.vector_codes import CodeImage

MAGIC: Final = b"SLIX"
VERSION: Final = 4
HEADER_LIMIT: Final = 1 << 20
PART_BYTES: Final = 4 << 20
"""A part is sealed in 1 ms, small indexes have some to overlap, and no blob comes near the store's limit of 2 GiB."""
_NAME_BYTES: Final = 16
_PREAMBLE: Final = struct.Struct(">4sBI")
_SETS: Final = "sets"
_PLANES: Final = "planes"
_CODES: Final = "codes"
ALIGNMENT: Final = 64
"""A column begins at a multiple of this, whatever it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An index at one position of its log; ``codes`` is None where search is exact."""

    encoder: str
    position: int
    sets: tuple[SetCreated, ...]
    references: ReferenceTable = field(default_factory=lambda: ReferenceTable.of(()))
    codes: CodeImage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotHeader:
    """What is known of a snapshot before its parts are touched; ``columns`` are (name, bytes) in order."""

    name: str
    encoder: str
    position: int
    sets: int
    references: int
    columns: tuple[tuple[str, int], ...]

    def layout(self) -> dict[str, slice]:
        """Return where each column is."""
        places, end = {}, 0
        for name, size in self.columns:
            places[name] = slice(end, end + size)
            end = -(-(end + size) // ALIGNMENT) * ALIGNMENT
        return places

    @property
    def body_bytes(self) -> int:
        """The length of all columns."""
        return max((place.stop for place in self.layout().values()), default=0)

    @property
    def parts(self) -> tuple[slice, ...]:
        """Where each part is."""
        return tuple(
            slice(first, min(first + PART_BYTES, self.body_bytes)) for first in range(0, self.body_bytes, PART_BYTES)
        )


class SnapshotWriter:
    """Seals a snapshot's parts, in any order and in several threads at once."""

    def __init__(self, snapshot: Snapshot, sealer: Sealer) -> None:
        self._sealer = sealer
        self._columns = _columns(snapshot)
        self._header = SnapshotHeader(
            name=secrets.token_hex(_NAME_BYTES),
            encoder=snapshot.encoder,
            position=snapshot.position,
            sets=len(snapshot.sets),
            references=len(snapshot.references),
            columns=tuple((name, len(column)) for name, column in self._columns.items()),
        )
        self._layout, self._parts = self._header.layout(), self._header.parts

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return len(self._parts)

    @property
    def size(self) -> int:
        """How many bytes the header and all parts have, sealed."""
        sealed: int = sum(place.stop - place.start + OVERHEAD_BYTES for place in self._parts)
        return len(self.header()) + sealed

    def part(self, number: int) -> bytes:
        """Return one part."""
        return self._sealer.seal(self._body(self._parts[number]), place=_place(self._header, number))

    def _body(self, part: slice) -> bytes:
        pieces: list[bytes | memoryview] = []
        end = part.start
        for name, place in self._layout.items():
            first, last = max(place.start, part.start), min(place.stop, part.stop)
            if first < last:
                pieces += [bytes(first - end), self._columns[name][first - place.start : last - place.start]]
                end = last
        return b"".join([*pieces, bytes(part.stop - end)])

    def header(self) -> bytes:
        """Return the signed header."""
        body = json.dumps(asdict(self._header), sort_keys=True).encode()
        if len(body) > HEADER_LIMIT:
            raise IntegrityError("the index snapshot's header is too long; the encoder's name may be")
        signed = _PREAMBLE.pack(MAGIC, VERSION, len(body)) + body
        return signed + self._sealer.sign(signed)


class SnapshotReader:
    """Checks a snapshot's header, then takes in its parts, in any order and in several threads at once.

    ``encoder`` None takes any encoder's.  Everything raises IntegrityError for what is not a whole snapshot of this
    deployment and encoder.
    """

    def __init__(self, data: bytes, sealer: Sealer, *, encoder: str | None = None) -> None:
        self.header = _read_header(data, sealer)
        if encoder is not None and self.header.encoder != encoder:
            raise IntegrityError(f"the index snapshot is of encoder {self.header.encoder}, this worker has {encoder}")
        self._sealer = sealer
        self._parts = self.header.parts
        self._left = set(range(len(self._parts)))
        self._body = np.empty(self.header.body_bytes, np.uint8)

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return len(self._parts)

    @property
    def largest_part(self) -> int:
        """How many bytes a part has at most, sealed."""
        return max((place.stop - place.start for place in self._parts), default=0) + OVERHEAD_BYTES

    def take(self, number: int, sealed: bytes | memoryview) -> None:
        """Take in a part."""
        if number not in self._left:
            raise IntegrityError("the index snapshot has other parts than its header says")
        place = self._parts[number]
        if len(sealed) != place.stop - place.start + OVERHEAD_BYTES:
            raise IntegrityError("the index snapshot is cut off or changed")
        self._sealer.open_into(sealed, place=_place(self.header, number), out=memoryview(self._body[place]))
        self._left.discard(number)

    def snapshot(self) -> Snapshot:
        """Return what was read, once all parts were taken in."""
        if self._left:
            raise IntegrityError("the index snapshot does not hold what its header says")
        columns = {name: self._body[place] for name, place in self.header.layout().items()}
        try:
            sets, references = decode_sets(columns[_SETS].tobytes()), from_columns(columns)
        except (WireError, KeyError) as error:
            raise IntegrityError(f"the index snapshot cannot be read: {error}") from error
        if (len(sets), len(references)) != (self.header.sets, self.header.references):
            raise IntegrityError("the index snapshot does not hold what its header says")
        codes = CodeImage(planes=columns[_PLANES], codes=columns[_CODES]) if _CODES in columns else None
        return Snapshot(
            encoder=self.header.encoder, position=self.header.position, sets=sets, references=references, codes=codes
        )


def part_count(header: bytes, sealer: Sealer) -> int:
    """Return how many parts a snapshot of this header has; raises IntegrityError."""
    return len(_read_header(header, sealer).parts)


def _columns(snapshot: Snapshot) -> Mapping[str, memoryview]:
    columns = to_columns(snapshot.references)
    if snapshot.codes is not None:
        columns |= {_PLANES: snapshot.codes.planes, _CODES: snapshot.codes.codes}
    tables = {name: memoryview(column) for name, column in columns.items()}
    return {_SETS: memoryview(encode_sets(snapshot.sets)), **tables}


def _place(header: SnapshotHeader, number: int) -> str:
    return f"index-snapshot/{header.name}/{number}"


def _read_header(data: bytes, sealer: Sealer) -> SnapshotHeader:
    if len(data) < _PREAMBLE.size:
        raise IntegrityError("the index snapshot is cut off")
    magic, version, length = _PREAMBLE.unpack_from(data)
    if magic != MAGIC or version != VERSION or length > HEADER_LIMIT:
        raise IntegrityError("this is not an index snapshot of this version")
    signature = _PREAMBLE.size + length
    if len(data) != signature + SIGNATURE_BYTES:
        raise IntegrityError("the index snapshot is cut off or changed")
    sealer.verify(data[:signature], data[signature:])
    try:
        values = json.loads(data[_PREAMBLE.size : signature])
        columns = tuple((str(name), int(size)) for name, size in values["columns"])
        return SnapshotHeader(**{**values, "columns": columns})
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"the index snapshot's header cannot be read: {error}") from error
