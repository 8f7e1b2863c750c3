"""A real Kafka broker and a real Redis for tests: processes on loopback, each with a folder and a port of its own.

Both can be killed (SIGKILL) and started again on the same data and the same port, as after a
crash. All calls block: from a coroutine use ``await asyncio.to_thread(server.restart)``.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path(__file__).resolve().parent.parent
# A busy machine stretches the broker's start from 1 s to 7 s and more; a restart waits for the old session besides.
START_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 10.0
_POLL_S: Final = 0.05
# Below the kernel's ephemeral ports (32768 up on Linux): a client that keeps dialling the port of a killed server would
# otherwise be given that very port as its own, connect to itself, and the server could not come back.
_PORTS: Final = range(20_000, 32_000)


class ServerError(Exception):
    """A server did not start, or is not installed: says what to do."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, outside the ephemeral range."""
    for _ in range(200):
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError(f"no free port in {_PORTS.start}..{_PORTS.stop - 1}")


class Server(ABC):
    """One process with a data folder and a port that survive its death."""

    def __init__(self, folder: Path) -> None:
        """``folder`` holds the data and ``server.log``; made if it is missing."""
        self.folder = folder
        self.port = free_port()
        self.log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def _command(self) -> list[str]:
        """The command that runs the server in the foreground, as the process started or by exec."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it can be used now."""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> Self:
        """Start it and wait until it answers; ServerError with the end of its log if it does not."""
        if self.pid is not None:
            raise ServerError(f"{self!r} runs already")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own: Ctrl-C in the terminal ends the tests, which then end the server.
                start_new_session=True,
            )
        self._wait_until_ready()
        return self

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after STOP_LIMIT_S."""
        try:
            self._signal(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self) -> None:
        """Start again on the same data and port; kills it first if it runs."""
        self.kill()
        self.start()

    def remove(self) -> None:
        """Kill it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(port={self.port}, folder={str(self.folder)!r})"

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, number)
        process.wait(STOP_LIMIT_S)
        self._process = None

    def _wait_until_ready(self) -> None:
        limit = time.monotonic() + START_LIMIT_S
        while time.monotonic() < limit:
            if self._answers():
                return
            if self.pid is None:
                break
            time.sleep(_POLL_S)
        self.kill()
        tail = self.log.read_text(errors="replace")[-3000:]
        raise ServerError(f"{self!r} did not start within {START_LIMIT_S:.0f} s:\n{tail}")


class KafkaBroker(Server):
    """Kafka 4.1 as one KRaft node; jars from ``make servers``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.controller_port = free_port()

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """As the setting ``bus`` has it."""
        return f"kafka://{self.bootstrap}"

    def _command(self) -> list[str]:
        kafka = ROOT / "deploy" / "kafka"
        if not (kafka / "libs" / ".installed").exists():
            raise ServerError(
                "the Kafka broker is not installed: run `make servers` (needs the packages java and maven)"
            )
        return ["sh", str(kafka / "start.sh"), str(self.folder), str(self.port), str(self.controller_port)]

    def _answers(self) -> bool:
        # The listener opens at the moment the broker says that it has started.
        return _connects(self.port)


class RedisServer(Server):
    """Redis with the settings of deploy/redis: append-only file, written before every reply."""

    @property
    def url(self) -> str:
        """As the setting ``store`` has it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Delete everything in it."""
        if _redis_says(self.port, b"FLUSHALL") != b"+OK\r\n":
            raise ServerError(f"{self!r} did not flush")

    def _command(self) -> list[str]:
        program = shutil.which("redis-server")
        if program is None:
            raise ServerError("redis-server was not found: install the package redis-server")
        settings = ROOT / "deploy" / "redis" / "redis.conf"
        return [program, str(settings), "--port", str(self.port), "--dir", str(self.folder)]

    def _answers(self) -> bool:
        # It listens before the append-only file is read, and says LOADING until then.
        return _connects(self.port) and _redis_says(self.port, b"PING") == b"+PONG\r\n"


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _redis_says(port: int, command: bytes) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(command + b"\r\n")
            return connection.recv(1024)
    except OSError:
        return b""
