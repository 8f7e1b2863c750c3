"""Reads large values of Redis straight into memory that is there, over blocking sockets of its own.

A client library hands every value out as an object of its own, copied four or five times on the way; here the kernel
writes it where it stays, at a quarter of the processor time.  Speaks as much of RESP 2 as reading values takes
(https://redis.io/docs/latest/develop/reference/protocol-spec/).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final, cast

from redis.connection import SSLConnection, parse_url

from shared.errors import StoreError

PORT: Final = 6379
LINE_BYTES: Final = 1024
CONNECTIONS: Final = 4
"""That are kept open; more are closed after use."""


class BulkReader:
    """Connections to the Redis at ``url``, for threads; each call is bounded by ``timeout`` seconds a wait."""

    def __init__(self, url: str, timeout: float) -> None:
        self._options: dict[str, Any] = cast("Any", parse_url)(url)
        self._timeout = timeout
        self._idle: list[_Connection] = []
        self._closed = False
        self._lock = threading.Lock()

    @property
    def usable(self) -> bool:
        """Tell whether this can be used: not over TLS, which copies and decrypts everything anyway."""
        return self._options.get("connection_class") is not SSLConnection

    def read(self, keys: Sequence[str], out: memoryview) -> int | None:
        """Read values one after the other into ``out``; return their length, None where one is not there.

        Blocks.  Raises StoreError, also where they are longer than ``out``.
        """
        with self._connection() as connection:
            return connection.read(keys, out)

    def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        """Return short fields of a hash, None for what is not there.  Blocks.  Raises StoreError."""
        with self._connection() as connection:
            return connection.fields(key, names)

    def close(self) -> None:
        """Close what is open, and what a thread still reads from once it is done; idempotent."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[_Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        try:
            if connection is None:
                connection = _Connection(self._options, self._timeout)
            yield connection
        except BaseException as error:
            if connection is not None:
                connection.close()  # an answer may still be under way
            if isinstance(error, OSError | ValueError):
                raise StoreError(f"Redis: {str(error) or type(error).__name__}") from error
            raise
        with self._lock:
            if len(self._idle) < CONNECTIONS and not self._closed:
                self._idle.append(connection)
                return
        connection.close()


class _Connection:
    def __init__(self, options: dict[str, Any], timeout: float) -> None:
        self._socket = _connect(options, timeout)
        self._stream = cast("BinaryIO", self._socket.makefile("rb"))
        try:
            if options.get("password"):
                user = [options["username"]] if options.get("username") else []
                self._do("AUTH", *user, options["password"])
            if options.get("db"):
                self._do("SELECT", str(options["db"]))
        except BaseException:
            self.close()
            raise

    def read(self, keys: Sequence[str], out: memoryview) -> int | None:
        self._send("MGET", *keys)
        place, whole = 0, True
        for _ in range(self._header(b"*")):
            size = self._header(b"$")
            if size < 0:
                whole = False
                continue
            self._fill(out[place : place + size], size)
            place += size
        return place if whole else None

    def fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        self._send("HMGET", key, *names)
        if self._header(b"*") != len(names):
            raise ValueError("an answer has other fields than were asked for")
        return [self._short() for _ in names]

    def _short(self) -> bytes | None:
        size = self._header(b"$")
        if size < 0:
            return None
        value = bytearray(min(size, LINE_BYTES))
        self._fill(memoryview(value), size)
        return bytes(value)

    def _fill(self, out: memoryview, size: int) -> None:
        if len(out) != size:
            raise ValueError("a value is longer than it was said to be")
        filled = 0
        while filled < size:
            read = cast("Any", self._stream).readinto(out[filled:])
            if not read:
                raise ConnectionError("the connection was closed")
            filled += read
        if self._stream.read(2) != b"\r\n":
            raise ConnectionError("an answer does not end where it should")

    def _do(self, *command: str) -> None:
        self._send(*command)
        self._line(b"+")

    def _send(self, *command: str) -> None:
        words = [word.encode() for word in command]
        self._socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))

    def _header(self, kind: bytes) -> int:
        return int(self._line(kind))

    def _line(self, kind: bytes) -> bytes:
        line = self._stream.readline(LINE_BYTES)
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection was closed")
        if line[:1] != kind:
            raise ConnectionError(line[1:-2].decode(errors="replace"))
        return line[1:-2]

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


def _connect(options: dict[str, Any], timeout: float) -> socket.socket:
    if "path" in options:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        found.settimeout(timeout)
        try:
            found.connect(options["path"])
        except OSError:
            found.close()
            raise
        return found
    return socket.create_connection((options.get("host", "localhost"), options.get("port", PORT)), timeout)


__all__ = ["BulkReader"]
