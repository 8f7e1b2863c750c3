"""What the index is, as the store and its workers know it: for whoever runs it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import IntegrityError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from workers.index.catalogue import SetCatalogue
from workers.index.log import IndexLog
from workers.search.self_recall import SelfRecall

HEALTH_KEY: Final = "index/health"
HEALTH_SECONDS: Final = 8 * 86_400.0
"""How long a worker's word about its index is kept: a week, and a day for the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the worker that probed its index last said of it; ``at`` in seconds since 1970."""

    at: float
    position: int
    tombstones: int
    recall: SelfRecall


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStatus:
    """One set: its references, the bytes kept of them, its threshold."""

    name: str
    references: int
    bytes: int
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStatus:
    """``bytes`` by kind; ``position`` of the log's end, ``lag`` the entries a starting worker replays.

    ``encoders`` counts references by encoder; ``snapshot_*`` are 0 and the age None where none was ever made.
    """

    references: int
    bytes: Mapping[str, int]
    encoders: Mapping[str, int]
    position: int
    snapshot_position: int
    snapshot_bytes: int
    snapshot_age_s: float | None
    health: Health | None
    sets: tuple[SetStatus, ...]

    @property
    def lag(self) -> int:
        """Entries of the log past the snapshot."""
        return self.position - self.snapshot_position


async def read_status(store: Store, sealer: Sealer, clock: Clock) -> IndexStatus:
    """Return the status as of now; raises StoreError, IntegrityError."""
    catalogue = SetCatalogue(store, sealer, clock)
    state = await catalogue.refresh()
    pointer = await IndexLog(store, sealer).pointer()
    kept = {name: held.references.bytes_kept() for name, held in state.sets.items()}
    return IndexStatus(
        references=len(state),
        bytes=dict(sum(kept.values(), Counter())),
        encoders=dict(sum((held.references.encoders() for held in state.sets.values()), Counter())),
        position=catalogue.position,
        snapshot_position=pointer.position if pointer else 0,
        snapshot_bytes=pointer.bytes if pointer else 0,
        snapshot_age_s=max(0.0, clock.wall() - pointer.at) if pointer else None,
        health=await read_health(store),
        sets=tuple(
            SetStatus(
                name=name,
                references=len(held.references),
                bytes=kept[name].total(),
                threshold=held.created.threshold,
            )
            for name, held in sorted(state.sets.items())
        ),
    )


async def write_health(store: Store, health: Health) -> None:
    """Leave a worker's word; where two do at once, one of them stays.  Raises StoreError."""
    value = {
        "at": health.at,
        "position": health.position,
        "tombstones": health.tombstones,
        "tried": health.recall.tried,
        "found": health.recall.found,
    }
    held = await store.get(HEALTH_KEY)
    version = held.version if held else None
    await store.compare_and_set(HEALTH_KEY, version, json.dumps(value).encode(), ttl=HEALTH_SECONDS)


async def read_health(store: Store) -> Health | None:
    """Return what a worker said last, None where none did lately; raises StoreError, IntegrityError."""
    held = await store.get(HEALTH_KEY)
    return None if held is None else _health(held.value)


def _health(value: bytes) -> Health:
    try:
        values: dict[str, Any] = json.loads(value)
        return Health(
            at=float(values["at"]),
            position=int(values["position"]),
            tombstones=int(values["tombstones"]),
            recall=SelfRecall(tried=int(values["tried"]), found=int(values["found"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"what a worker said of its index cannot be read: {error!r}") from error


__all__ = ["Health", "IndexStatus", "SetStatus", "read_health", "read_status", "write_health"]
