"""The bytes of an index snapshot: a signed header, and sealed parts that it lists.

Header: ``SLIX``, version, length, JSON, HMAC-SHA256 of all before it.  It names the encoder, the log position, the
counts and the length and SHA-256 of every sealed part, so everything is refused that is cut off, changed, another
deployment's or another encoder's *before* a byte of a part is decrypted or parsed and long before hnswlib reads its
graph (which trusts its input: https://github.com/nmslib/hnswlib/issues/673).  Parts are sealed as well because
embeddings and set names tell about the images.

A part holds the sets, some thousand references, or a piece of the graph: an index of any size is written and read with
a part in memory beside it, and no blob comes near the store's limit of 2 GiB.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Final

from shared.codec import decode_event, decode_references, encode_event, encode_references
from shared.errors import IntegrityError, WireError
from shared.sealing import SIGNATURE_BYTES, Sealer
from shared.types import Reference, SetCreated
from workers.embeddings import dimension_of

MAGIC: Final = b"SLIX"
VERSION: Final = 2
HEADER_LIMIT: Final = 1 << 20
"""Some 8,000 parts."""
PART_REFERENCES: Final = 4096
"""References of a part: 5 MB of embeddings, 40 MB with views, local features and sketches."""
PART_BYTES: Final = 32 << 20
"""Of a piece of the graph."""
_PLACE: Final = "index-snapshot"
_PREAMBLE: Final = struct.Struct(">4sBI")
_LENGTH: Final = struct.Struct(">I")
_KINDS: Final = ("sets", "references", "graph")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An index at one position of its log; ``graph`` holds hnswlib's bytes, empty where search is exact."""

    encoder: str
    position: int
    sets: tuple[SetCreated, ...]
    references: tuple[Reference, ...]
    graph: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What the header says of a part: its kind, and the length and digest of its sealed bytes."""

    kind: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotHeader:
    """What is known of a snapshot before its parts are touched."""

    encoder: str
    position: int
    dimension: int
    sets: int
    references: int
    vectors: int
    graph_bytes: int
    parts: tuple[Part, ...]


class SnapshotWriter:
    """Gives a snapshot's sealed parts one after the other, then the header that lists them."""

    def __init__(self, snapshot: Snapshot, sealer: Sealer) -> None:
        self._snapshot = snapshot
        self._sealer = sealer
        self._parts: list[Part] = []
        self._plain = _plain_parts(snapshot)

    def next_part(self) -> bytes | None:
        """Return the next part, None after the last."""
        kind, plain = next(self._plain, ("", b""))
        if not kind:
            return None
        sealed = self._sealer.seal(plain, place=f"{_PLACE}/{len(self._parts)}")
        self._parts.append(Part(kind=kind, bytes=len(sealed), sha256=sha256(sealed).hexdigest()))
        return sealed

    def header(self) -> bytes:
        """Return the signed header of all parts that were given."""
        body = json.dumps(asdict(_describe(self._snapshot, tuple(self._parts))), sort_keys=True).encode()
        if len(body) > HEADER_LIMIT:
            raise IntegrityError("the index snapshot's header is too long; the encoder's name may be")
        signed = _PREAMBLE.pack(MAGIC, VERSION, len(body)) + body
        return signed + self._sealer.sign(signed)


class SnapshotReader:
    """Checks a snapshot's header, then takes in its parts in order.

    ``encoder`` None takes any encoder's.  Everything raises IntegrityError for what is not a whole snapshot of this
    deployment and encoder.
    """

    def __init__(self, data: bytes, sealer: Sealer, *, encoder: str | None = None) -> None:
        self.header = _read_header(data, sealer)
        if encoder is not None and self.header.encoder != encoder:
            raise IntegrityError(f"the index snapshot is of encoder {self.header.encoder}, this worker has {encoder}")
        self._sealer = sealer
        self._taken = 0
        self._sets: tuple[SetCreated, ...] = ()
        self._references: list[Reference] = []
        self._graph = bytearray()

    def take(self, sealed: bytes) -> None:
        """Take in the next part."""
        if self._taken >= len(self.header.parts):
            raise IntegrityError("the index snapshot has more parts than its header says")
        part = self.header.parts[self._taken]
        if len(sealed) != part.bytes or sha256(sealed).hexdigest() != part.sha256:
            raise IntegrityError("the index snapshot is cut off or changed")
        plain = self._sealer.open(sealed, place=f"{_PLACE}/{self._taken}")
        self._taken += 1
        try:
            match part.kind:
                case "sets":
                    self._sets = _read_sets(plain)
                case "references":
                    self._references += decode_references(plain)
                case _:
                    self._graph += plain
        except (WireError, struct.error) as error:
            raise IntegrityError(f"the index snapshot cannot be read: {error}") from error

    def snapshot(self) -> Snapshot:
        """Return what was read, once all parts were taken in."""
        snapshot = Snapshot(
            encoder=self.header.encoder,
            position=self.header.position,
            sets=self._sets,
            references=tuple(self._references),
            graph=bytes(self._graph),
        )
        self._references, self._graph = [], bytearray()
        if self._taken != len(self.header.parts) or _describe(snapshot, self.header.parts) != self.header:
            raise IntegrityError("the index snapshot does not hold what its header says")
        return snapshot


def _plain_parts(snapshot: Snapshot) -> Iterator[tuple[str, bytes]]:
    yield "sets", b"".join(_LENGTH.pack(len(event)) + event for event in map(encode_event, snapshot.sets))
    for first in range(0, len(snapshot.references), PART_REFERENCES):
        yield "references", encode_references(snapshot.references[first : first + PART_REFERENCES])
    for first in range(0, len(snapshot.graph), PART_BYTES):
        yield "graph", snapshot.graph[first : first + PART_BYTES]


def _describe(snapshot: Snapshot, parts: tuple[Part, ...]) -> SnapshotHeader:
    first = next((vector for reference in snapshot.references for vector in reference.vectors), b"")
    return SnapshotHeader(
        encoder=snapshot.encoder,
        position=snapshot.position,
        dimension=dimension_of(first),
        sets=len(snapshot.sets),
        references=len(snapshot.references),
        vectors=sum(len(reference.vectors) for reference in snapshot.references),
        graph_bytes=len(snapshot.graph),
        parts=parts,
    )


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
        header = SnapshotHeader(**{**values, "parts": tuple(Part(**part) for part in values["parts"])})
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"the index snapshot's header cannot be read: {error}") from error
    if any(part.kind not in _KINDS for part in header.parts):
        raise IntegrityError("the index snapshot's header lists a part of no known kind")
    return header


def _read_sets(section: bytes) -> tuple[SetCreated, ...]:
    sets = []
    offset = 0
    while offset < len(section):
        (length,) = _LENGTH.unpack_from(section, offset)
        offset += _LENGTH.size
        event = decode_event(section[offset : offset + length])
        if not isinstance(event, SetCreated):
            raise IntegrityError("the index snapshot lists something that is no set")
        sets.append(event)
        offset += length
    return tuple(sets)
