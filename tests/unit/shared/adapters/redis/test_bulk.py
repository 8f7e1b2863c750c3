"""Values read straight into memory, from a server that says what a test wants it to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.adapters.redis.bulk import BulkReader
from shared.errors import StoreError

SECONDS = 5.0
TWO = b"*2\r\n$3\r\nabc\r\n$2\r\nde\r\n"


@contextmanager
def server(folder: Path, *answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Give one answer to each command, then close; yield where it listens and what it was asked."""
    path, asked = folder / "socket", list[bytes]()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                for answer in answers:
                    asked.append(connection.recv(1 << 16))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"unix://{path}", asked
        thread.join(SECONDS)


def read(reader: BulkReader, size: int, keys: Sequence[str] = ("x", "y")) -> tuple[int | None, bytes]:
    memory = bytearray(size)
    found = reader.read(keys, memoryview(memory))
    return found, bytes(memory)


def test_values_lie_one_after_the_other(tmp_path: Path) -> None:
    with server(tmp_path, TWO, TWO) as (url, asked):
        reader = BulkReader(url, SECONDS)
        assert read(reader, 7) == (5, b"abcde\0\0")
        assert read(reader, 5) == (5, b"abcde")
        reader.close()
    assert asked == [b"*3\r\n$4\r\nMGET\r\n$1\r\nx\r\n$1\r\ny\r\n"] * 2


def test_where_a_value_is_gone_the_connection_is_good_for_the_next(tmp_path: Path) -> None:
    with server(tmp_path, b"*2\r\n$-1\r\n$2\r\nde\r\n", TWO) as (url, _):
        reader = BulkReader(url, SECONDS)
        assert read(reader, 5)[0] is None
        assert read(reader, 5)[0] == 5
        reader.close()


def test_fields_of_a_hash_are_read_over_the_same_connection(tmp_path: Path) -> None:
    with server(tmp_path, b"*3\r\n$2\r\nab\r\n$-1\r\n$0\r\n\r\n", TWO) as (url, asked):
        reader = BulkReader(url, SECONDS)
        assert reader.fields("key", ["a", "b", "c"]) == [b"ab", None, b""]
        assert read(reader, 5)[0] == 5
        reader.close()
    assert asked[0] == b"*5\r\n$5\r\nHMGET\r\n$3\r\nkey\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        b"*1\r\n$2\r\nab\r\n",
        b"*2\r\n$2\r\nab\r\n",
        b"*2\r\n$5000\r\n" + bytes(5000) + b"\r\n$-1\r\n",
        b"",
    ],
)
def test_a_hash_that_is_none_is_an_error(tmp_path: Path, answer: bytes) -> None:
    with server(tmp_path, answer) as (url, _), pytest.raises(StoreError, match="Redis"):
        BulkReader(url, SECONDS).fields("key", ["a", "b"])


def test_who_one_is_and_which_database_are_said_first(tmp_path: Path) -> None:
    with server(tmp_path, b"+OK\r\n", b"+OK\r\n", TWO) as (url, asked):
        reader = BulkReader(f"{url}?username=me&password=secret&db=3", SECONDS)
        assert read(reader, 5)[0] == 5
        reader.close()
    assert asked[0].split(b"\r\n")[2::2] == [b"AUTH", b"me", b"secret"]
    assert asked[1].split(b"\r\n")[2::2] == [b"SELECT", b"3"]


@pytest.mark.parametrize(
    "answer",
    [
        b"-NOAUTH Authentication required.\r\n",
        b"*2\r\n$3\r\nabc\r\n",
        b"*2\r\n$9\r\nabcdefghi\r\n$0\r\n\r\n",
        b"*2\r\n$3\r\nabcXY$2\r\nde\r\n",
        b"*2\r\n$x\r\n",
        b"*" + b"1" * 5000,
        b"+OK\r\n",
        b"",
    ],
)
def test_every_other_answer_is_an_error(tmp_path: Path, answer: bytes) -> None:
    with server(tmp_path, answer) as (url, _), pytest.raises(StoreError, match="Redis"):
        read(BulkReader(url, SECONDS), 5)


def test_a_server_that_is_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        read(BulkReader(f"unix://{tmp_path}/nowhere", SECONDS), 5)


def test_a_connection_that_is_in_use_when_all_are_closed_is_closed_after_use(tmp_path: Path) -> None:
    with server(tmp_path, TWO) as (url, asked):
        reader = BulkReader(url, SECONDS)
        reader.close()
        assert read(reader, 5)[0] == 5  # an unclosed socket would be a warning, and that an error
        del reader
    assert len(asked) == 1


def test_over_tls_it_is_not_to_be_used() -> None:
    assert not BulkReader("rediss://localhost", SECONDS).usable
    assert BulkReader("redis://localhost", SECONDS).usable
