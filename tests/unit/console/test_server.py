"""The console role's own matters: its token, its port, and a store that is away when it starts."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from console.server import TOKEN_FILE, bind, run_console, viewer_token
from shared import config
from shared.adapters.role import RoleContext, SystemClock
from shared.errors import ConfigError
from shared.telemetry import Metrics, Readiness


def test_the_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / TOKEN_FILE
    token = viewer_token(path)
    assert len(token) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert viewer_token(path) == token


def test_consoles_that_start_at_once_agree_on_one_token(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: viewer_token(tmp_path / TOKEN_FILE), range(16)))
    assert len(tokens) == 1


def test_an_empty_token_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / TOKEN_FILE).touch()
    with pytest.raises(ConfigError, match=TOKEN_FILE):
        viewer_token(tmp_path / TOKEN_FILE)


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"{address} is in use.*console.listen"):
            bind(address)


def test_an_address_of_another_machine_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"console\.listen"):
        bind("192.0.2.1:80")


class Role:
    """A console that is run by a test; ``announced`` resolves to its address."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.announced: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.readiness = Readiness()
        self.data_dir = folder / "data"
        values = {"SAFELIGHT_DATA_DIR": str(self.data_dir), "SAFELIGHT_CONSOLE__LISTEN": "127.0.0.1:0"}
        self.context = RoleContext(
            settings=config.load(None, {**values, **environment}),
            metrics=Metrics(),
            readiness=self.readiness,
            clock=SystemClock(),
            announce=lambda _, address: self.announced.set_result(address),
            stopping=asyncio.Event(),
        )


async def test_it_serves_until_it_is_stopped(tmp_path: Path) -> None:
    role = Role(tmp_path)
    async with asyncio.TaskGroup() as group:
        group.create_task(run_console(role.context))
        address = await role.announced
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v1") as client:
            assert (await client.get("/health")).status_code == 200
            token = (role.data_dir / TOKEN_FILE).read_text().strip()
            answer = await client.get("/sets", headers={"Authorization": f"Bearer {token}"})
            assert answer.json() == []
            assert (await client.get("/sets/nope", headers={"Authorization": f"Bearer {token}"})).status_code == 404
        assert role.readiness.waiting_for() == ()
        role.context.stopping.set()
    with socket.socket() as dial:
        host, _, port = address.rpartition(":")
        assert dial.connect_ex((host, int(port))) != 0


async def test_without_its_store_it_waits_and_can_be_stopped(tmp_path: Path) -> None:
    """A port where nothing listens, below those the kernel gives away."""
    role = Role(tmp_path, SAFELIGHT_STORE="redis://127.0.0.1:1/0")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run_console(role.context))
        done, _ = await asyncio.wait({running}, timeout=0.3)
        assert not done
        assert role.readiness.waiting_for() == ("store", "console")
        role.context.stopping.set()


async def test_a_wrong_configuration_ends_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        role = Role(tmp_path, SAFELIGHT_CONSOLE__LISTEN=f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(ConfigError, match="in use"):
            await run_console(role.context)
