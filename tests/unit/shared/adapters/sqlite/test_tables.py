"""The embedded store's tables at given times."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.adapters.sqlite import tables
from shared.adapters.sqlite.tables import TOMBSTONE_SECONDS
from shared.errors import StoreError


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = tables.connect(tmp_path / "store" / "safelight.db")
    yield connection
    connection.close()


def test_a_key_ends_at_its_time_and_its_version_goes_on(connection: sqlite3.Connection) -> None:
    assert tables.compare_and_set(connection, "k", None, b"a", 10.0, 0.0) == 1
    assert tables.get(connection, "k", 9.9) is not None
    assert tables.get(connection, "k", 10.0) is None
    assert tables.compare_and_set(connection, "k", 1, b"b", None, 10.0) is None
    assert tables.compare_and_set(connection, "k", None, b"b", None, 10.0) == 2


def test_tombstones_outlive_a_sweep_for_a_day(connection: sqlite3.Connection) -> None:
    tables.compare_and_set(connection, "k", None, b"a", 10.0, 0.0)
    tables.sweep(connection, 11.0)
    tables.sweep(connection, 11.0 + TOMBSTONE_SECONDS / 2)
    assert tables.compare_and_set(connection, "k", None, b"b", None, 20.0) == 2
    assert tables.delete(connection, "k", None, 30.0)
    tables.sweep(connection, 30.0 + TOMBSTONE_SECONDS)
    assert tables.compare_and_set(connection, "k", None, b"c", None, 40.0 + TOMBSTONE_SECONDS) == 1


def test_a_sweep_names_the_files_of_expired_blobs(connection: sqlite3.Connection) -> None:
    tables.put_blob(connection, "old", "file-1", 5.0)
    tables.put_blob(connection, "kept", "file-2", None)
    assert tables.blob_file(connection, "old", 4.0) == "file-1"
    assert tables.sweep(connection, 5.0) == ("file-1",)
    assert tables.blob_files(connection) == {"file-2"}


def test_a_transaction_that_fails_leaves_nothing(connection: sqlite3.Connection) -> None:
    def append_then_fail() -> None:
        with tables.transaction(connection):
            connection.execute("INSERT INTO logs (log, last) VALUES ('log', 9)")
            raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        append_then_fail()
    assert tables.append(connection, "log", [b"a"]) == 1


def test_a_database_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "safelight.db"
    connection = tables.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="schema 99"):
        tables.connect(path)
