"""Snapshots as bytes: the header, then the parts."""

from __future__ import annotations

from shared.sealing import Sealer
from workers.index.snapshot import Snapshot, SnapshotReader, SnapshotWriter


def pack(snapshot: Snapshot, sealer: Sealer) -> list[bytes]:
    """Write a whole snapshot."""
    writer = SnapshotWriter(snapshot, sealer)
    return [writer.header(), *(writer.part(number) for number in range(writer.parts))]


def unpack(data: list[bytes], sealer: Sealer, *, encoder: str | None = None) -> Snapshot:
    """Read a whole snapshot; raises IntegrityError."""
    header, *parts = data
    reader = SnapshotReader(header, sealer, encoder=encoder)
    for number, part in enumerate(parts):
        reader.take(number, part)
    return reader.snapshot()
