"""Alerts that were decided here and are not yet in the store's log: durable before the reply leaves.

A SQLite file of this proxy's own, in WAL mode with full synchronisation: a commit survives kill -9 and power loss.
One thread owns the connection; commits that wait for it at the same time share one transaction, so that a burst of
blocks costs one fsync and not one each.  ``forward`` moves the alerts on in order and deletes them only once the log
has them: at least once, told apart later by their incident.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from shared import codec
from shared.errors import ConfigError, IntegrityError, StoreError, WireError
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import Alert

FORWARD_BATCH: Final = 256
RETRY_SECONDS: Final = 0.1
RETRY_LIMIT_SECONDS: Final = 2.0
"""While the store is down the next try is at most this far away: alerts are written soon after its return."""
GROUP_COMMIT: Final = 64
STOP_SECONDS: Final = 5.0

_PLACE: Final = "outbox"
_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS outbox (position INTEGER PRIMARY KEY AUTOINCREMENT, sealed BLOB NOT NULL)"
_log = logging.getLogger(__name__)


class Log(Protocol):
    """Where alerts go from here."""

    async def append(self, alerts: Sequence[Alert]) -> int:
        """Append all or none; raises StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class _Job[T]:
    work: Callable[[sqlite3.Connection], T]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[T]

    def finish(self, result: T | None, error: BaseException | None) -> None:
        try:
            self.loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:  # the loop has closed: nobody waits
            _log.warning("the event loop closed before the outbox had answered")

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(result)


class Outbox:
    """``start`` before use, ``stop`` after; every other method may be called from one event loop."""

    def __init__(self, path: Path, sealer: Sealer, metrics: Metrics) -> None:
        self._path = path
        self._sealer = sealer
        self._metrics = metrics
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._news = asyncio.Event()
        self._waiting = 0

    def is_empty(self) -> bool:
        """Tell whether all alerts are in the log."""
        return self._waiting == 0

    async def start(self) -> None:
        """Open the file, made with mode 0600 where there is none; raises ConfigError."""
        try:
            connection = await asyncio.to_thread(self._open)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"cannot open the alert outbox {self._path}: {error}") from error
        self._thread = threading.Thread(target=self._work, args=(connection,), name="outbox", daemon=True)
        self._thread.start()
        self._count(await self._run(_size))
        self._news.set()

    async def commit(self, alerts: Sequence[Alert]) -> None:
        """Make alerts durable; raises sqlite3.Error where the disk refuses."""
        if not alerts:
            return
        rows = [(self._sealer.seal(codec.encode_alert(alert), _PLACE),) for alert in alerts]
        await self._run(lambda connection: _insert(connection, rows))
        self._count(self._waiting + len(rows))
        self._news.set()

    async def forward_once(self, log: Log) -> bool:
        """Move the oldest alerts on; tell whether there were any.  Raises StoreError, and then moves none."""
        rows = await self._run(_oldest)
        if not rows:
            return False
        await log.append([alert for _, sealed in rows if (alert := self._read(sealed)) is not None])
        last = rows[-1][0]
        await self._run(lambda connection: _delete(connection, last))
        self._count(max(0, self._waiting - len(rows)))
        return True

    async def forward(self, log: Log) -> None:
        """Move alerts on for ever, as they come; while the store is down they wait here."""
        pause = RETRY_SECONDS
        while True:
            self._news.clear()
            try:
                more = await self.forward_once(log)
                pause = RETRY_SECONDS
            except StoreError as error:
                self._metrics.count("safelight_store_errors_total", operation="append")
                _log.warning("alerts stay in the outbox: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_LIMIT_SECONDS)
                continue
            if not more:
                await self._news.wait()

    async def stop(self) -> None:
        """Finish what was asked for and close the file; idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join, STOP_SECONDS)

    async def _run[T](self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._thread is None:
            raise sqlite3.OperationalError("the outbox is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, loop, done))
        return await done

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        # Transactions are our own: one for all the jobs that wait.
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(_SCHEMA)
        return connection

    def _work(self, connection: sqlite3.Connection) -> None:
        stopping = False
        while not stopping:
            jobs, stopping = _take(self._jobs)
            if jobs:
                _together(connection, jobs)
        connection.close()

    def _read(self, sealed: bytes) -> Alert | None:
        try:
            return codec.decode_alert(self._sealer.open(sealed, _PLACE))
        except (IntegrityError, WireError) as error:
            _log.error("an alert in %s cannot be read and is passed over: %s", self._path, error)
            return None

    def _count(self, waiting: int) -> None:
        self._waiting = waiting
        self._metrics.set("safelight_proxy_outbox_alerts", waiting)


def _take(jobs: queue.SimpleQueue[_Job[Any] | None]) -> tuple[list[_Job[Any]], bool]:
    """Wait for a job and take those that stand behind it; True: no more will come."""
    taken: list[_Job[Any]] = []
    job = jobs.get()
    while job is not None:
        taken.append(job)
        if len(taken) == GROUP_COMMIT:
            return taken, False
        try:
            job = jobs.get_nowait()
        except queue.Empty:
            return taken, False
    return taken, True


def _together(connection: sqlite3.Connection, jobs: Sequence[_Job[Any]]) -> None:
    """Run jobs in one transaction: all become durable, or all are told the error."""
    results: list[Any] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        results += [job.work(connection) for job in jobs]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for job in jobs:
            job.finish(None, error)
        return
    for job, result in zip(jobs, results, strict=True):
        job.finish(result, None)


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[bytes]]) -> None:
    connection.executemany("INSERT INTO outbox (sealed) VALUES (?)", rows)


def _oldest(connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
    query = "SELECT position, sealed FROM outbox ORDER BY position LIMIT ?"
    return connection.execute(query, (FORWARD_BATCH,)).fetchall()


def _delete(connection: sqlite3.Connection, upto: int) -> None:
    connection.execute("DELETE FROM outbox WHERE position <= ?", (upto,))


def _size(connection: sqlite3.Connection) -> int:
    (size,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    return int(size)
