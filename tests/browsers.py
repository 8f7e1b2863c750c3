"""A real Chromium without a window, and web servers in a thread for pages that it opens."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Final, Self

from tests.servers import ServerError

STOP_SECONDS: Final = 10.0
_START_SECONDS: Final = 20.0
_QUIET: Final = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root, where its own sandbox does not start
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    # A page that drives itself is no user: without these its windows are refused and its timers slowed down.
    "--disable-popup-blocking",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
)


def program(name: str) -> str:
    """The path of a program; raises ServerError that says what to install."""
    found = shutil.which(name)
    if found is None:
        raise ServerError(f"{name} is not installed: `make servers` installs it, or names the package")
    return found


class Chromium:
    """One process on one address with a profile of its own; it trusts ``authorities`` (PEM) as a user's machine does.

    Chromium on Linux reads further roots from the NSS database of the user
    (https://chromium.googlesource.com/chromium/src/+/main/docs/linux/cert_management.md).
    """

    def __init__(self, folder: Path, authorities: Iterable[str], address: str, *arguments: str) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        self._trust(authorities)
        self.profile = folder / "profile"
        self._command = [program("chromium"), *_QUIET, f"--user-data-dir={self.profile}", *arguments, address]

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env(), start_new_session=True
            )
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(STOP_SECONDS)
                return
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                return

    @property
    def log(self) -> Path:
        """What it says."""
        return self._folder / "chromium.log"

    def _env(self) -> Mapping[str, str]:
        return os.environ | {"HOME": str(self._folder)}

    def _trust(self, authorities: Iterable[str]) -> None:
        database = self._folder / ".pki" / "nssdb"
        database.mkdir(parents=True)
        place = ["-d", f"sql:{database}"]
        certutil = program("certutil")
        subprocess.run([certutil, *place, "-N", "--empty-password"], check=True, capture_output=True)
        for number, pem in enumerate(authorities):
            command = [certutil, *place, "-A", "-t", "C,,", "-n", f"authority {number}"]
            subprocess.run(command, input=pem, text=True, check=True, capture_output=True)


class InThread[T]:
    """What an asynchronous context manager serves, in a thread with a loop of its own, for tests that block."""

    def __init__(self, serve: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._serve = serve
        self._ready = threading.Event()
        self._served: list[T] = []
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="in-thread", daemon=True)

    def __enter__(self) -> T:
        self._thread.start()
        if not self._ready.wait(_START_SECONDS) or not self._served:
            raise ServerError("the server in a thread did not start")
        return self._served[0]

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(STOP_SECONDS)
        self._loop.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._ready.set()

    async def _main(self) -> None:
        async with AsyncExitStack() as stack:
            self._served.append(await stack.enter_async_context(self._serve()))
            self._ready.set()
            await self._end.wait()
