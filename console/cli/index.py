"""``safelight index``: how large the index is and how well it does, and its log made short."""

from __future__ import annotations

import typer

from console.cli import migration
from console.cli.session import session_of, with_store
from shared.adapters.lease import Lease
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.ports import Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from workers.encoders.encoder import Encoder
from workers.encoders.in_force import in_force
from workers.index.compaction import LEASE_KEY, compact
from workers.index.replica import IndexReplica
from workers.index.status import Health, IndexStatus, read_status
from workers.migration.adapting import adapter_if_any

app = typer.Typer(help="The index of all image sets.", no_args_is_help=True)
migration.register(app)


@app.command()
def status(context: typer.Context) -> None:
    """Show size, position, snapshot and self-recall of the index, and its sets."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        found = await read_status(store, sealer, SystemClock())
        generation = await in_force(settings, store)
        other = generation.other.id if generation.other is not None else None
        values = {"encoder": generation.encoder.id, "other_encoder": other, "phase": generation.phase.value}
        said = f"encoder in force: {generation.encoder.id}" + (f"; {other}: {generation.phase}" if other else "")
        session.row(_values(found) | values, "\n".join([*_lines(found), said]))

    with_store(session, run)


def _values(status: IndexStatus) -> dict[str, object]:
    return {
        "references": status.references,
        "bytes": {**status.bytes, "total": sum(status.bytes.values())},
        "encoders": dict(status.encoders),
        "position": status.position,
        "lag": status.lag,
        "snapshot": {
            "position": status.snapshot_position,
            "bytes": status.snapshot_bytes,
            "age_s": None if status.snapshot_age_s is None else round(status.snapshot_age_s, 1),
        },
        "worker": None if status.health is None else _health(status.health),
        "sets": [
            {"set": each.name, "references": each.references, "bytes": each.bytes, "threshold": each.threshold}
            for each in status.sets
        ],
    }


def _health(health: Health) -> dict[str, object]:
    return {
        "at": health.at,
        "position": health.position,
        "tombstones": health.tombstones,
        "self_recall": round(health.recall.share, 4),
        "sample": health.recall.tried,
    }


def _lines(status: IndexStatus) -> list[str]:
    kinds = ", ".join(f"{kind} {size:,}" for kind, size in status.bytes.items() if size)
    encoders = ", ".join(f"{name} ({count:,})" for name, count in status.encoders.items())
    snapshot = "no snapshot yet"
    if status.snapshot_age_s is not None:
        snapshot = f"snapshot {status.snapshot_bytes:,} bytes, {status.snapshot_age_s / 3600:.1f} h old"
    lines = [
        f"{status.references:,} references in {len(status.sets):,} sets, {sum(status.bytes.values()):,} bytes",
        f"  {kinds or 'nothing is kept yet'}",
        f"  encoder: {encoders or 'none yet'}",
        f"  position {status.position:,}, {status.lag:,} entries past the snapshot; {snapshot}",
        f"  {_worker(status.health)}",
    ]
    rows = [
        f"{each.name}: {each.references:,} references, {each.bytes:,} bytes, threshold {each.threshold:g}"
        for each in status.sets
    ]
    return [*lines, *rows]


def _worker(health: Health | None) -> str:
    if health is None:
        return "no worker has probed its index in the last week"
    recall = health.recall
    return (
        f"a worker at position {health.position:,} found {recall.found} of {recall.tried} of its own vectors,"
        f" {health.tombstones:,} tombstones"
    )


@app.command("compact")
def compact_(context: typer.Context) -> None:
    """Write a snapshot of the index and forget the log before it; exit 1 where that is not possible now."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> bool:
        generation = await in_force(settings, store)
        encoder = Encoder.configured(settings, generation.encoder)
        adapter = adapter_if_any(settings, generation)
        converts = None if adapter is None else adapter.references
        replica = IndexReplica(store, sealer, encoder.id, encoder.calibration, Metrics(), convert=converts)
        await replica.load()
        lease = Lease(store, LEASE_KEY)
        done = await compact(store, sealer, replica, lease, SystemClock(), limit=0)
        found = await read_status(store, sealer, SystemClock())
        values = {"compacted": done, "position": found.snapshot_position, "bytes": found.snapshot_bytes}
        session.row(values, _outcome(found, done=done))
        return done or found.lag == 0

    if not with_store(session, run):
        raise typer.Exit(1)


def _outcome(status: IndexStatus, *, done: bool) -> str:
    if done:
        return f"snapshot at position {status.snapshot_position:,}, {status.snapshot_bytes:,} bytes"
    if status.lag == 0:
        return "nothing to do: the snapshot is at the end of the log"
    return "not compacted: a worker is just doing it, or the log holds what this encoder or key cannot read"
