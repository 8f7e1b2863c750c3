"""How long it takes from the command's write to the moment at which the last of n workers searches what was enrolled.

    python -m benchmarks.enrolment [--workers 1 2 4] [--images 200] [--rate 10] [-o FOLDER]

Over a real Redis with its append-only file synced at every write.  Each worker is a process with an index replica, as a
worker has it; enrolments come as a Poisson process, open loop.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.arrivals import open_loop, poisson, spread
from benchmarks.deployments import ready_process
from benchmarks.made_up_index import configure, fill, references, shipped_index_id
from benchmarks.proxies import say
from benchmarks.reporting import options_parser, report_on, target
from shared.adapters.opening import open_store
from shared.config import Settings
from shared.sealing import Sealer, load_or_create_key
from shared.types import INDEX_LOG, ReferenceAdded
from tests.servers import RedisServer
from workers.evaluation.tables import Cell

INDEXED: Final = 10_000
"""References that are there before."""
PATIENCE_SECONDS: Final = 10.0
AIM_MS: Final = 1000.0


class Watcher:
    """Reads what one worker says: from when on it searches at which position of the log."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._lines = process.stdout
        self.seen: list[tuple[int, float]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._lines:
            position, at = line.split()
            self.seen.append((int(position), float(at)))

    def finish(self) -> None:
        """Wait until the worker has said all it will."""
        self._reader.join()

    def searchable(self, position: int) -> float | None:
        """Return when it searched at this position or a later one, None where it has not yet."""
        return next((at for reached, at in tuple(self.seen) if reached >= position), None)


class Watches(Protocol):
    """What knows when one worker searched what."""

    def searchable(self, position: int) -> float | None:
        """Return when it searched at this position or a later one, None where it has not yet."""
        ...


def delays(begun: Sequence[tuple[int, float]], watchers: Sequence[Watches]) -> list[float]:
    """Return for each enrolment (its position, when it was to begin) the seconds until all watchers searched it."""
    found = []
    for position, at in begun:
        when = [watcher.searchable(position) for watcher in watchers]
        if None in when:
            raise TimeoutError(f"not searchable within {PATIENCE_SECONDS:g} s: position {position}")
        found.append(max(each for each in when if each is not None) - at)
    return found


async def enrol(settings: Settings, options: argparse.Namespace) -> list[tuple[int, float]]:
    """Enrol, open loop; return each one's position in the log and when it was to begin."""
    store = open_store(settings)
    await store.start()
    try:
        sealer = Sealer(load_or_create_key(settings.key_file))
        kept = list(references(INDEXED + options.images, shipped_index_id()))
        log = await fill(store, sealer, [])
        begun = time.monotonic()

        async def one(number: int) -> int:
            return await log.append(ReferenceAdded(reference=kept[INDEXED + number]))

        due = poisson(options.rate, 2 * options.images / options.rate, seed=1)[: options.images]
        answers = await open_loop(due, one)
    finally:
        await store.stop()
    return [(answer.answer, begun + answer.due) for answer in answers]


async def prepare(settings: Settings) -> int:
    """Fill the index and return its position."""
    store = open_store(settings)
    await store.start()
    try:
        sealer = Sealer(load_or_create_key(settings.key_file))
        log = await fill(store, sealer, list(references(INDEXED, shipped_index_id())))
        return await log.store.last_position(INDEX_LOG)
    finally:
        await store.stop()


def measure_workers(config: Path, settings: Settings, workers: int, options: argparse.Namespace) -> dict[str, Cell]:
    """One line: so many workers."""
    with ExitStack() as stack:
        say(f"{workers} workers: loading")
        log = config.parent / "watchers.log"
        watchers = [
            Watcher(stack.enter_context(ready_process("benchmarks.index_child", "watch", str(config), log=log)))
            for _ in range(workers)
        ]
        say(f"{workers} workers: enrolling")
        begun = asyncio.run(enrol(settings, options))
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until and any(watcher.searchable(begun[-1][0]) is None for watcher in watchers):
            time.sleep(0.05)
        return {"workers": workers, **spread(delays(begun, watchers)).row()}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All numbers of workers over one Redis."""
    with ExitStack() as stack:
        redis = RedisServer(folder / "redis")
        stack.callback(redis.remove)
        redis.start()
        config, settings = configure(folder / "enrolment", redis.url)
        say(f"filling the index with {INDEXED} references")
        asyncio.run(prepare(settings))
        rows = [measure_workers(config, settings, workers, options) for workers in options.workers]
    aims = [
        target(
            f"enrolled to searchable in {row['workers']} workers, p99",
            float(row["p99"] or 0),
            AIM_MS,
            least=False,
            unit="ms",
        )
        for row in rows
    ]
    note = f"ms until the slowest worker; {INDEXED:,} references before, {options.rate:g} enrolments/s"
    return {
        "title": "Enrolment",
        "tables": [
            {"name": "targets", "title": "Targets", "rows": aims},
            {"name": "enrolment", "title": "From the write to searchable everywhere", "note": note, "rows": rows},
        ],
    }


def main() -> int:
    """Measure, print and write."""
    parser = options_parser(__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="processes that follow the index")
    parser.add_argument("--images", type=int, default=200, help="enrolments for each number of workers")
    parser.add_argument("--rate", type=float, default=20.0, help="enrolments a second")
    return report_on(parser.parse_args(), "enrolment", measure)


if __name__ == "__main__":
    sys.exit(main())
