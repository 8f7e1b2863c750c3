"""The embedded store's tables, as plain functions on one connection.

Deleted and expired keys stay as tombstones for a day: a version number never comes back, so somebody who slept
through the end of a lease cannot renew it in another holder's name.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.errors import StoreError
from shared.types import LogEntry, Versioned

SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT: Final = 2.0  # seconds that a writer waits for another process's transaction
TOMBSTONE_SECONDS: Final = 86_400.0

_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS keys
    (key TEXT PRIMARY KEY, value BLOB, version INTEGER NOT NULL, expires REAL, tombstone_since REAL);
CREATE TABLE IF NOT EXISTS logs (log TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entries
    (log TEXT NOT NULL, position INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (log, position));
CREATE TABLE IF NOT EXISTS blobs (name TEXT PRIMARY KEY, file TEXT NOT NULL, expires REAL);
PRAGMA user_version = {SCHEMA_VERSION};
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, made where there is none.

    synchronous=NORMAL: in WAL mode a commit is in the operating system's cache when it returns, so a killed process
    loses nothing; only a power cut can take the last commits, never the database's consistency
    (https://www.sqlite.org/pragma.html#pragma_synchronous).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        _enter_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _enter_wal(connection: sqlite3.Connection) -> None:
    # The switch to WAL needs the file for itself and does not always ask the busy handler: processes that start
    # together meet here.
    give_up = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() >= give_up:
                raise
            time.sleep(0.02)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA_VERSION:
        return
    if version != 0:
        raise StoreError(f"{path} has schema {version}, this program knows {SCHEMA_VERSION}")
    with transaction(connection):
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction; takes the write lock at once, so that it never fails half-way for want of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


# --- keys ----------------------------------------------------------------------------------------------------------


def get(connection: sqlite3.Connection, key: str, now: float) -> Versioned | None:
    """Return a key that is there and has not expired."""
    row = connection.execute(
        "SELECT value, version FROM keys WHERE key = ? AND value IS NOT NULL AND (expires IS NULL OR expires > ?)",
        (key, now),
    ).fetchone()
    return Versioned(value=row[0], version=row[1]) if row else None


def compare_and_set(
    connection: sqlite3.Connection, key: str, expected: int | None, value: bytes, expires: float | None, now: float
) -> int | None:
    """Write at the expected version; return the new one, or None."""
    with transaction(connection):
        current = get(connection, key, now)
        if (current.version if current else None) != expected:
            return None
        (version,) = connection.execute(
            "INSERT INTO keys (key, value, version, expires) VALUES (?, ?, 1, ?) ON CONFLICT (key) DO UPDATE SET"
            " value = excluded.value, version = version + 1, expires = excluded.expires, tombstone_since = NULL"
            " RETURNING version",
            (key, value, expires),
        ).fetchone()
        return int(version)


def delete(connection: sqlite3.Connection, key: str, expected: int | None, now: float) -> bool:
    """Leave a tombstone."""
    with transaction(connection):
        current = get(connection, key, now)
        if current is None or expected not in (None, current.version):
            return False
        connection.execute(
            "UPDATE keys SET value = NULL, expires = NULL, tombstone_since = ? WHERE key = ?", (now, key)
        )
        return True


# --- logs ----------------------------------------------------------------------------------------------------------


def append(connection: sqlite3.Connection, log: str, values: Sequence[bytes]) -> int:
    """Append in one transaction; return the last position."""
    with transaction(connection):
        (last,) = connection.execute(
            "INSERT INTO logs (log, last) VALUES (?, ?) ON CONFLICT (log) DO UPDATE SET last = last + excluded.last"
            " RETURNING last",
            (log, len(values)),
        ).fetchone()
        first = last - len(values) + 1
        connection.executemany(
            "INSERT INTO entries (log, position, value) VALUES (?, ?, ?)",
            [(log, position, value) for position, value in enumerate(values, first)],
        )
        return int(last)


def read(connection: sqlite3.Connection, log: str, after: int, limit: int) -> tuple[LogEntry, ...]:
    """Return entries past ``after``, oldest first."""
    rows = connection.execute(
        "SELECT position, value FROM entries WHERE log = ? AND position > ? ORDER BY position LIMIT ?",
        (log, after, limit),
    )
    return tuple(LogEntry(position=position, value=value) for position, value in rows)


def last_position(connection: sqlite3.Connection, log: str) -> int:
    """Return the newest position ever given."""
    row = connection.execute("SELECT last FROM logs WHERE log = ?", (log,)).fetchone()
    return int(row[0]) if row else 0


def truncate(connection: sqlite3.Connection, log: str, upto: int) -> None:
    """Forget the oldest entries."""
    with transaction(connection):
        connection.execute("DELETE FROM entries WHERE log = ? AND position <= ?", (log, upto))


def data_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection has committed; cheaper than any query."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


# --- blobs: the files are in the spool folder, their names here ---------------------------------------------------


def blob_file(connection: sqlite3.Connection, name: str, now: float) -> str | None:
    """Return the file that holds a blob."""
    row = connection.execute(
        "SELECT file FROM blobs WHERE name = ? AND (expires IS NULL OR expires > ?)", (name, now)
    ).fetchone()
    return str(row[0]) if row else None


def put_blob(connection: sqlite3.Connection, name: str, file: str, expires: float | None) -> str | None:
    """Point ``name`` to ``file``; return the file it replaces."""
    with transaction(connection):
        row = connection.execute("SELECT file FROM blobs WHERE name = ?", (name,)).fetchone()
        connection.execute(
            "INSERT INTO blobs (name, file, expires) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET file = excluded.file, expires = excluded.expires",
            (name, file, expires),
        )
        return str(row[0]) if row else None


def delete_blob(connection: sqlite3.Connection, name: str) -> str | None:
    """Forget a blob; return its file."""
    with transaction(connection):
        row = connection.execute("DELETE FROM blobs WHERE name = ? RETURNING file", (name,)).fetchone()
        return str(row[0]) if row else None


def blob_files(connection: sqlite3.Connection) -> frozenset[str]:
    """Return every file that a blob points to."""
    return frozenset(str(file) for (file,) in connection.execute("SELECT file FROM blobs"))


def sweep(connection: sqlite3.Connection, now: float) -> tuple[str, ...]:
    """Forget expired blobs and keys and old tombstones; return the files to remove."""
    with transaction(connection):
        connection.execute(
            "UPDATE keys SET value = NULL, expires = NULL, tombstone_since = ? WHERE expires <= ?", (now, now)
        )
        connection.execute("DELETE FROM keys WHERE tombstone_since <= ?", (now - TOMBSTONE_SECONDS,))
        rows = connection.execute("DELETE FROM blobs WHERE expires <= ? RETURNING file", (now,)).fetchall()
        return tuple(str(file) for (file,) in rows)
