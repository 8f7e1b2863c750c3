"""``safelight up``: every role on one machine, each a process of its own, and one status endpoint for all.

The supervisor holds the embedded bus (where the bus is ``local://``), restarts a role that dies, and stops them in
the order in which work flows: the proxy first, so that what it has asked for is still answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final

from console.merged_status import RoleStatus, merge_expositions, merged_waiting_for, merged_warnings
from console.processes import Proxies, RoleProcess, other_processes
from console.role_runner import UNTIL_STDIN_CLOSES, configure_logging
from console.supervisor_lock import SupervisorLock
from shared.adapters.local.hub import Hub, hub_socket_path
from shared.adapters.run_files import read_run_file
from shared.adapters.status_server import StatusServer, StatusSource
from shared.config import Settings
from shared.errors import ConfigError

RESTART_FIRST: Final = 0.2
RESTART_MOST: Final = 5.0
STABLE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1
CONFIG_STATUS: Final = 2

_log = logging.getLogger(__name__)


class Supervisor:
    """Starts, watches, restarts and stops the roles."""

    def __init__(self, settings: Settings, config: Path | None, *, proxies_only: bool = False) -> None:
        self._settings = settings
        self._config = config
        self._proxies = Proxies(settings)
        self._others = () if proxies_only else other_processes()
        self._processes: tuple[RoleProcess, ...] = ()
        self._embedded_bus = settings.bus == "local://" and not proxies_only
        self._children: dict[str, Process] = {}
        self._stopping = asyncio.Event()
        self._lock = SupervisorLock(settings.run_dir, "proxies" if proxies_only else "up")
        self._was_ready = False

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; raises ConfigError where it or a role cannot start."""
        try:
            await self._lock.acquire()
            self._processes = (*self._others, *self._proxies.open())
            await self._run()
        finally:
            self._proxies.close()
            self._lock.release()

    async def _run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        for process in self._processes:
            (self._settings.run_dir / f"{process.name}.json").unlink(missing_ok=True)
        hub = Hub(hub_socket_path(self._settings.data_dir)) if self._embedded_bus else None
        status = StatusServer(
            self._settings.metrics.listen,
            StatusSource(
                exposition=self._exposition,
                waiting_for=self._waiting_for,
                healthy=lambda: True,
                warnings=lambda: merged_warnings(self._statuses()),
            ),
        )
        if hub is not None:
            await hub.start()
        status.start()
        try:
            await self._watch(status.address)
        finally:
            await self._stop_children()
            status.stop()
            if hub is not None:
                await hub.stop()

    async def _watch(self, status_address: str) -> None:
        keepers = [asyncio.get_running_loop().create_task(self._keep(each)) for each in self._processes]
        ready = asyncio.get_running_loop().create_task(self._announce_ready(status_address))
        stop = asyncio.get_running_loop().create_task(self._stopping.wait())
        try:
            await asyncio.wait({stop, *keepers}, return_when=asyncio.FIRST_COMPLETED)
            for keeper in keepers:
                if keeper.done():
                    keeper.result()
        finally:
            for task in (ready, stop, *keepers):
                task.cancel()
            await asyncio.gather(ready, stop, *keepers, return_exceptions=True)

    async def _keep(self, part: RoleProcess) -> None:
        """Keep one process running; a configuration error ends everything with that role's sentence."""
        delay = RESTART_FIRST
        while True:
            started = asyncio.get_running_loop().time()
            process = await self._spawn(part)
            status = await process.wait()
            # Once everything was up the configuration is right: what is wrong now may well pass.
            if status == CONFIG_STATUS and not self._was_ready:
                raise ConfigError(f"the {part.role} cannot start; its reason is above")
            if asyncio.get_running_loop().time() - started > STABLE_SECONDS:
                delay = RESTART_FIRST
            _log.error("%s ended with status %d; starting it again in %.1f s", part.name, status, delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RESTART_MOST)

    async def _spawn(self, part: RoleProcess) -> Process:
        arguments = [sys.executable, "-m", "console.cli", part.role]
        if self._config is not None:
            arguments += ["--config", str(self._config)]
        own = {"SAFELIGHT_METRICS__LISTEN": "127.0.0.1:0", UNTIL_STDIN_CLOSES: "1"}
        environment = {**os.environ, **own, **part.environment}
        # A session of its own: Ctrl-C in the terminal must reach the supervisor only, which stops them in order.
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=PIPE, env=environment, start_new_session=True, pass_fds=(self._lock.descriptor,)
        )
        self._children[part.name] = process
        return process

    async def _announce_ready(self, status_address: str) -> None:
        while not (line := await asyncio.to_thread(self._ready_line, status_address)):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)  # the roles are other processes: there is no event to wait for
        self._was_ready = True
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _ready_line(self, status_address: str) -> str:
        """Return the line for the user, empty while something is missing."""
        if self._waiting_for():
            return ""
        listening = [process for process in self._processes if process.role in ("proxy", "console")]
        runs = [read_run_file(self._settings.run_dir, process.name) for process in listening]
        if any(process.role not in run for process, run in zip(listening, runs, strict=True)):
            return ""  # listening, but not written down yet, each of several proxies
        found = {process.role: run[process.role] for process, run in zip(listening, runs, strict=True)}
        wanted = [key for key in ("proxy", "console") if key in found]
        return " ".join(("ready", *(f"{key}={found[key]}" for key in wanted), f"metrics={status_address}"))

    def _statuses(self) -> list[RoleStatus]:
        statuses = []
        for process in self._processes:
            run, child = read_run_file(self._settings.run_dir, process.name), self._children.get(process.name)
            alive = child is not None and child.returncode is None and run.get("pid") == child.pid
            address = str(run["metrics"]) if alive and "metrics" in run else None
            statuses.append(RoleStatus(role=process.name, address=address))
        return statuses

    def _exposition(self) -> bytes:
        return merge_expositions(self._statuses())

    def _waiting_for(self) -> tuple[str, ...]:
        return merged_waiting_for(self._statuses())

    async def _stop_children(self) -> None:
        # In the order in which work flows.
        for proxies in (True, False):
            await asyncio.gather(*(self._stop(each) for each in self._processes if (each.role == "proxy") is proxies))

    async def _stop(self, part: RoleProcess) -> None:
        process = self._children.get(part.name)
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), part.stop_seconds)
        except TimeoutError:
            _log.error("%s did not stop within %.0f s and is killed", part.name, part.stop_seconds)
            process.kill()
            await process.wait()


def run_supervisor(settings: Settings, config: Path | None, *, proxies_only: bool = False) -> None:
    """Run everything on this machine, or only several proxies on one port, until a signal."""
    configure_logging()
    asyncio.run(_main(settings, config, proxies_only=proxies_only))


async def _main(settings: Settings, config: Path | None, *, proxies_only: bool) -> None:
    await Supervisor(settings, config, proxies_only=proxies_only).run()
