"""The bytes of an index snapshot: a signed header, then a sealed payload.

Layout: ``SLIX``, version, header length, header (JSON), HMAC-SHA256 of all before it, sealed payload.  The header
names the encoder, the log position, the counts and the SHA-256 of the sealed payload, so everything is refused that
is cut off, changed, another deployment's or another encoder's *before* a byte of the payload is decrypted or parsed
and long before hnswlib reads its graph (which trusts its input: https://github.com/nmslib/hnswlib/issues/673).
The payload is sealed as well as signed because embeddings and set names tell about the images; AES-GCM costs 20 ms
for 10,000 references.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Final

from shared.codec import decode_event, decode_references, encode_event, encode_references
from shared.errors import IntegrityError, WireError
from shared.sealing import OVERHEAD_BYTES, SIGNATURE_BYTES, Sealer
from shared.types import Reference, SetCreated

MAGIC: Final = b"SLIX"
VERSION: Final = 1
HEADER_LIMIT: Final = 4096
PAYLOAD_LIMIT: Final = (1 << 31) - 1 - OVERHEAD_BYTES - HEADER_LIMIT
"""A blob holds 2 GiB, and AES-GCM here takes as much: about 500,000 references with their graph."""
_PLACE: Final = "index-snapshot"
_PREAMBLE: Final = struct.Struct(">4sBH")
_SECTIONS: Final = struct.Struct(">QQQ")
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """An index at one position of its log; ``graph`` holds hnswlib's bytes, empty where search is exact."""

    encoder: str
    position: int
    sets: tuple[SetCreated, ...]
    references: tuple[Reference, ...]
    graph: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotHeader:
    """What is known of a snapshot before its payload is touched."""

    encoder: str
    position: int
    dimension: int
    sets: int
    references: int
    vectors: int
    graph_bytes: int
    payload_bytes: int
    payload_sha256: str


def pack(snapshot: Snapshot, sealer: Sealer) -> bytes:
    """Return the snapshot's bytes; raises IntegrityError where they would not fit a blob."""
    sets = b"".join(_LENGTH.pack(len(event)) + event for event in map(encode_event, snapshot.sets))
    references = encode_references(snapshot.references)
    lengths = _SECTIONS.pack(len(sets), len(references), len(snapshot.graph))
    plain = b"".join((lengths, sets, references, snapshot.graph))
    if len(plain) > PAYLOAD_LIMIT:
        raise IntegrityError(f"the index has {len(plain)} bytes, a snapshot holds {PAYLOAD_LIMIT}")
    sealed = sealer.seal(plain, place=_PLACE)
    signed = _encode_header(_describe(snapshot, sealed))
    return signed + sealer.sign(signed) + sealed


def unpack(data: bytes, sealer: Sealer, *, encoder: str | None = None) -> Snapshot:
    """Check and read a snapshot; ``encoder`` None takes any encoder's.

    Raises IntegrityError for everything that is not a whole snapshot of this deployment and encoder.
    """
    header, start = _read_header(data, sealer)
    if encoder is not None and header.encoder != encoder:
        raise IntegrityError(f"the index snapshot is of encoder {header.encoder}, this worker has {encoder}")
    sealed = memoryview(data)[start:]
    if len(sealed) != header.payload_bytes or sha256(sealed).hexdigest() != header.payload_sha256:
        raise IntegrityError("the index snapshot is cut off or changed")
    snapshot = _read_payload(header, sealer.open(bytes(sealed), place=_PLACE))
    if _describe(snapshot, bytes(sealed)) != header:
        raise IntegrityError("the index snapshot does not hold what its header says")
    return snapshot


def _describe(snapshot: Snapshot, sealed: bytes) -> SnapshotHeader:
    vectors = [vector for reference in snapshot.references for vector in reference.vectors]
    return SnapshotHeader(
        encoder=snapshot.encoder,
        position=snapshot.position,
        dimension=len(vectors[0]) // 4 if vectors else 0,
        sets=len(snapshot.sets),
        references=len(snapshot.references),
        vectors=len(vectors),
        graph_bytes=len(snapshot.graph),
        payload_bytes=len(sealed),
        payload_sha256=sha256(sealed).hexdigest(),
    )


def _encode_header(header: SnapshotHeader) -> bytes:
    body = json.dumps(asdict(header), sort_keys=True).encode()
    if len(body) > HEADER_LIMIT:
        raise IntegrityError("the index snapshot's header is too long; the encoder's name may be")
    return _PREAMBLE.pack(MAGIC, VERSION, len(body)) + body


def _read_header(data: bytes, sealer: Sealer) -> tuple[SnapshotHeader, int]:
    if len(data) < _PREAMBLE.size:
        raise IntegrityError("the index snapshot is cut off")
    magic, version, length = _PREAMBLE.unpack_from(data)
    if magic != MAGIC or version != VERSION or length > HEADER_LIMIT:
        raise IntegrityError("this is not an index snapshot of this version")
    signature = _PREAMBLE.size + length
    payload = signature + SIGNATURE_BYTES
    if len(data) < payload:
        raise IntegrityError("the index snapshot is cut off")
    sealer.verify(data[:signature], data[signature:payload])
    try:
        return SnapshotHeader(**json.loads(data[_PREAMBLE.size : signature])), payload
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"the index snapshot's header cannot be read: {error}") from error


def _read_payload(header: SnapshotHeader, plain: bytes) -> Snapshot:
    try:
        lengths = _SECTIONS.unpack_from(plain)
        if _SECTIONS.size + sum(lengths) != len(plain):
            raise IntegrityError("the index snapshot's sections do not fill it")
        sets_end = _SECTIONS.size + lengths[0]
        references_end = sets_end + lengths[1]
        return Snapshot(
            encoder=header.encoder,
            position=header.position,
            sets=_read_sets(plain[_SECTIONS.size : sets_end]),
            references=decode_references(plain[sets_end:references_end]),
            graph=plain[references_end:],
        )
    except (WireError, struct.error) as error:
        raise IntegrityError(f"the index snapshot cannot be read: {error}") from error


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
