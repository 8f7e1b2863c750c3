"""The embedded bus's middle: a Unix-domain socket server that runs in the supervisor of ``safelight up``.

Askers and workers are its clients.  It holds every request until a worker has committed it, so a worker may die at
any time; it holds no replies, so a proxy that is gone costs nothing.  A hub that restarts has lost its requests, and
their askers time out.  What a client sends is not trusted: a bad frame closes that client's connection only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from shared.adapters.local.frames import (
    Ask,
    Asked,
    Done,
    Frame,
    Given,
    Hello,
    Reply,
    Want,
    Welcome,
    abort,
    encode_frame,
    fits,
    read_frame,
)
from shared.adapters.local.queue import Limits, RequestQueue
from shared.errors import BusError, ConfigError, WireError
from shared.types import BusMessage

HELLO_TIMEOUT: Final = 5.0
UNREAD_BYTES: Final = 64 << 20
"""A client that leaves this much unread is dropped: the hub does not keep memory for a process that has stopped."""
MAX_WANT: Final = 1024
WORKER: Final = -1
SOCKET_NAME: Final = "bus.sock"
PATH_BYTES: Final = 108  # sizeof(sun_path) in unix(7)

_logger = logging.getLogger(__name__)


def hub_socket_path(data_dir: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the hub's address: by hash and outside ``data_dir``, for a socket's path has 108 bytes at most."""
    name = f"safelight-{os.getuid()}-{sha256(os.fsencode(data_dir.absolute())).hexdigest()[:16]}"
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir() and len(path := os.fsencode(Path(runtime, name, SOCKET_NAME))) < PATH_BYTES:
        return Path(os.fsdecode(path))
    return Path("/tmp", name, SOCKET_NAME)  # noqa: S108 - start() makes sure that the folder is this user's alone


@dataclass(slots=True, eq=False)
class _Client:
    number: int
    writer: asyncio.StreamWriter
    instance: int = WORKER
    wants: int = 0

    def send(self, frame: Frame) -> None:
        """Queue bytes for the client; never waits."""
        if self.writer.transport.get_write_buffer_size() > UNREAD_BYTES:
            _logger.warning("bus client %d does not read; dropped", self.number)
            abort(self.writer)
        elif not self.writer.is_closing():
            self.writer.write(encode_frame(frame))


@dataclass(slots=True)
class _State:
    queue: RequestQueue
    askers: dict[int, _Client] = field(default_factory=dict)
    workers: dict[int, _Client] = field(default_factory=dict)  # by number, the longest waiting first


class Hub:
    """Listens on ``socket_path`` from ``start`` to ``stop``."""

    def __init__(self, socket_path: Path, limits: Limits | None = None) -> None:
        self._path = socket_path
        self._state = _State(RequestQueue(limits or Limits()))
        self._server: asyncio.Server | None = None
        self._connections: dict[int, _Client] = {}
        self._empty = asyncio.Event()
        self._numbers = 0

    async def start(self) -> None:
        """Listen; raises ConfigError where another hub does, or where the folder is somebody else's."""
        _own_folder(self._path.parent)
        _remove_stale(self._path)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(os.fspath(self._path))
            self._path.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener)
        except OSError as error:
            listener.close()
            raise ConfigError(f"cannot listen on {self._path}: {error.strerror}") from error

    async def stop(self) -> None:
        """Drop every client and the socket; idempotent."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._empty.clear()
        for client in self._connections.values():
            abort(client.writer)
        if self._connections:
            await self._empty.wait()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._numbers += 1
        client = _Client(self._numbers, writer)
        self._connections[client.number] = client
        try:
            await self._greet(client, reader)
            while True:
                self._handle(client, await read_frame(reader))
        except (WireError, BusError, TimeoutError) as error:
            _logger.warning("bus client %d dropped: %s", client.number, error)
        except (asyncio.IncompleteReadError, OSError):
            _logger.debug("bus client %d has gone", client.number)
        finally:
            abort(writer)
            self._leave(client)
            del self._connections[client.number]
            if not self._connections:
                self._empty.set()

    async def _greet(self, client: _Client, reader: asyncio.StreamReader) -> None:
        async with asyncio.timeout(HELLO_TIMEOUT):
            hello = await read_frame(reader)
        if not isinstance(hello, Hello):
            raise WireError("the first frame must say hello")
        client.instance = hello.instance
        if hello.instance == WORKER:
            self._state.workers[client.number] = client
        else:
            self._state.askers[hello.instance] = client  # the newest holds the lease
        client.send(Welcome())

    def _handle(self, client: _Client, frame: Frame) -> None:
        match frame:
            case Ask(number, message) if client.instance != WORKER and fits(message):
                refused = self._state.queue.add(message, _now())
                client.send(Asked(number, refused))
                self._hand_out()
            case Want(limit) if client.instance == WORKER:
                client.wants = max(0, min(limit, MAX_WANT))
                self._hand_out()
            case Done(numbers) if client.instance == WORKER:
                self._state.queue.commit(client.number, numbers)
            case Reply(message) if client.instance == WORKER and fits(message):
                self._pass_on(message)
            case _:
                raise WireError(f"{type(frame).__name__} is not for this side to send")

    def _pass_on(self, message: BusMessage) -> None:
        asker = self._state.askers.get(message.partition)
        if asker is not None:
            asker.send(Reply(message))

    def _hand_out(self) -> None:
        """Give requests to the workers that want some; who was given goes to the end of the line."""
        for client in [client for client in self._state.workers.values() if client.wants]:
            requests = self._state.queue.take(client.number, client.wants, _now())
            if not requests:
                return
            client.wants = 0
            self._state.workers[client.number] = self._state.workers.pop(client.number)
            for frame in _in_frames(requests):
                client.send(frame)

    def _leave(self, client: _Client) -> None:
        self._state.workers.pop(client.number, None)
        if self._state.askers.get(client.instance) is client:
            del self._state.askers[client.instance]
        self._state.queue.give_back(client.number)
        self._hand_out()


def _in_frames(requests: tuple[tuple[int, BusMessage], ...]) -> list[Given]:
    # One frame each: together they could pass the frame's limit.
    return [Given((request,)) for request in requests]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _own_folder(folder: Path) -> None:
    """Make the socket's folder, or check that nobody else made it: /tmp is everybody's."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ConfigError(f"{folder} must be a folder of this user alone (mode 0700); remove it")


def _remove_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)  # left by a hub that was killed
            return
        except OSError as error:
            raise ConfigError(f"cannot use the bus's socket {path}: {error}") from error
    raise ConfigError(f"another `safelight up` with this data_dir is running: it answers on {path}")
