"""Which encoder a program that enrols, checks or trains has to use: the store's, else the configuration's."""

from __future__ import annotations

import logging
from dataclasses import replace

from shared.config import Settings
from shared.ports import Store
from workers.encoders.generations import Generation, GenerationBook
from workers.encoders.names import EncoderName, configured_name

_logger = logging.getLogger(__name__)


async def in_force(settings: Settings, store: Store) -> Generation:
    """Return the encoder that the store says, and the one beside it; the configuration's where the store says nothing.

    Warns where the two differ.  Raises StoreError, IntegrityError, and as ``choose_encoder`` for the configuration's.
    """
    held = await GenerationBook(store).read()
    if held is None:
        return Generation(encoder=configured_name(settings))
    wanted, worker = held.encoder, settings.worker
    if worker.encoder not in ("", wanted.version) or worker.precision not in ("auto", wanted.precision):
        asked = f"{worker.encoder or wanted.version} ({worker.precision})"
        _logger.warning(
            "the configuration's encoder is %s, the index is of %s, which is used: see safelight index migrate",
            asked,
            wanted.id,
        )
    return held


async def settle(store: Store, encoder: EncoderName) -> None:
    """Note in a store that says nothing yet that what it holds is of this encoder: something is enrolled."""
    await GenerationBook(store).move(replace, encoder)
