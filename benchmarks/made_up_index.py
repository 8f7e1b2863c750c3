"""References of pictures that never were, for benchmarks of the index, by ``made_up_vectors``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import batched
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.deployments import SET, write_config
from benchmarks.made_up_vectors import DIMENSION, Kind, copies, make_vectors, vector_chunks
from shared.config import Settings
from shared.config import load as load_settings
from shared.ports import Store
from shared.sealing import Sealer, load_or_create_key
from shared.types import Reference, ReferenceAdded, SetCreated
from workers.encoders.embeddings import STORED, to_bytes
from workers.encoders.files import MODELS, choose_encoder
from workers.index.log import IndexLog
from workers.references.byte_column import ByteColumn
from workers.references.reference_table import ReferenceTable, hash_key

SEED: Final = 11
AT_ONCE: Final = 200
PDQ_BYTES: Final = 32
ID_DIGITS: Final = 16
VIEW_COSINE: Final = 0.8
"""Of a view to its picture."""


def shipped_index_id() -> str:
    """Return the index version of the encoder that ships, as a CPU runs it."""
    card = choose_encoder("", MODELS, None)
    return card.files[card.choose("auto", "cpu")].index_id


def references(count: int, encoder: str) -> Iterator[Reference]:
    """Yield references with an embedding and a PDQ hash, without local features."""
    source = np.random.default_rng(SEED)
    for number, vector in enumerate(make_vectors(count, SEED)):
        yield Reference(
            set=SET,
            reference=f"r{number}",
            name=f"{number}.jpg",
            sha256=sha256(b"%d" % number).hexdigest(),
            pdq=source.bytes(PDQ_BYTES).hex(),
            pdq_quality=100,
            encoder=encoder,
            vectors=(to_bytes(vector),),
        )


def table(count: int, sets: int, encoder: str, *, views: int = 0, kind: Kind = "fitted") -> ReferenceTable:
    """Return the same as a table at once, over sets of one size, with the signs of so many views of each.

    A reference's views are as near it as `VIEW_COSINE`, in directions of their own.
    """
    source = np.random.default_rng(SEED)
    stored = np.empty((count, DIMENSION), STORED)
    codes = np.empty((count, views, DIMENSION // 8), np.uint8)
    place = 0
    for vectors in vector_chunks(count, SEED, kind):
        rows = slice(place, place + len(vectors))
        stored[rows], place = vectors, rows.stop
        for view in range(views):
            codes[rows, view] = np.packbits(copies(vectors, VIEW_COSINE, SEED + view, kind) > 0, axis=1)
    names = tuple(f"set-{number:05}" for number in range(sets))
    digests = [sha256(b"%d" % number) for number in range(count)]
    ids = [digest.hexdigest()[:ID_DIGITS] for digest in digests]
    starts = np.linspace(0, count, sets + 1).astype(np.int64)
    of_set = np.repeat(np.arange(sets), np.diff(starts)).tolist()
    return ReferenceTable(
        set_names=names,
        encoders=(encoder, ""),
        set_starts=starts,
        key_hashes=np.fromiter(
            (hash_key(names[s], each) for s, each in zip(of_set, ids, strict=True)), np.int64, count
        ),
        encoder_of=np.zeros(count, np.uint16),
        source_of=np.ones(count, np.uint16),
        pdq_quality=np.full(count, 100, np.int16),
        vector_counts=np.ones(count, np.uint16),
        reference=ByteColumn.of([each.encode() for each in ids]),
        name=ByteColumn.of([b"%d.jpg" % number for number in range(count)]),
        sha256=ByteColumn.of([digest.digest() for digest in digests]),
        pdq=ByteColumn.equal(source.integers(256, size=count * PDQ_BYTES, dtype=np.uint8), count, PDQ_BYTES),
        vectors=ByteColumn.equal(stored.view(np.uint8).reshape(-1), count, stored.itemsize * DIMENSION),
        views=ByteColumn.equal(codes.reshape(-1), count, views * DIMENSION // 8),
        local=_nothing(count),
        sketch=_nothing(count),
        thumbnail=_nothing(count),
    )


def _nothing(count: int) -> ByteColumn:
    return ByteColumn.equal(np.empty(0, np.uint8), count, 0)


def configure(folder: Path, store: str) -> tuple[Path, Settings]:
    """Write a configuration over this store, and make its key."""
    folder.mkdir(parents=True, exist_ok=True)
    config = write_config(folder, {"store": store})
    settings = load_settings(config, {})
    load_or_create_key(settings.key_file)
    return config, settings


async def fill(store: Store, sealer: Sealer, kept: Sequence[Reference]) -> IndexLog:
    """Enrol these references in a set of their own."""
    log = IndexLog(store, sealer)
    await log.append(SetCreated(name=SET, threshold=85.0, thorough=False))
    for some in batched(kept, AT_ONCE):
        await asyncio.gather(*(log.append(ReferenceAdded(reference=reference)) for reference in some))
    return log
