"""References of pictures that never were, for benchmarks of the index: vectors as ``index_quality`` makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import batched
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.deployments import SET, write_config
from benchmarks.index_quality import make_vectors
from shared.config import Settings
from shared.config import load as load_settings
from shared.ports import Store
from shared.sealing import Sealer, load_or_create_key
from shared.types import Reference, ReferenceAdded, SetCreated
from workers.embeddings import to_bytes
from workers.encoder_files import MODELS, choose_encoder
from workers.index_log import IndexLog

SEED: Final = 11
AT_ONCE: Final = 200
PDQ_BYTES: Final = 32


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
