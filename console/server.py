"""The console role: serves the HTTP API."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import uvicorn
from shared.adapters.opening import open_store

from console.api import ReferenceView, Services, SetDetails, SetView, create_api
from console.deployment import policy_book
from shared.adapters.addresses import listen_error, split_address
from shared.adapters.alert_log import AlertLog
from shared.adapters.role import RoleContext
from shared.errors import ConfigError
from shared.ports import Store
from shared.sealing import Sealer, load_or_create_key
from workers.enrolment import ImageSets

TOKEN_FILE: Final = "console-token"  # noqa: S105 - a file name
SHUTDOWN_SECONDS: Final = 2


class StoredSets:
    """The API's view of image sets, read from the index log."""

    def __init__(self, sets: ImageSets) -> None:
        self._sets = sets

    async def list(self) -> list[SetView]:
        """Return every set."""
        return [
            SetView(name=one.name, threshold=one.threshold, relation=one.relation, references=one.size)
            for one in await self._sets.list()
        ]

    async def show(self, name: str) -> SetDetails:
        """Return one set; raises UsageError for an unknown name."""
        contents = await self._sets.show(name)
        return SetDetails(
            name=name,
            threshold=contents.summary.threshold,
            relation=contents.summary.relation,
            references=contents.summary.size,
            items=[
                ReferenceView(reference=reference.reference, name=reference.name, sha256=reference.sha256)
                for reference in contents.references
            ],
        )


class _Server(uvicorn.Server):
    """Signals belong to the role runner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_console(context: RoleContext) -> None:
    """Serve until the role is stopped."""
    settings = context.settings
    listener = _bind(settings.console.listen)
    state = {"store": False, "console": False}
    context.readiness.add("store", lambda: state["store"])
    context.readiness.add("console", lambda: state["console"])
    store = open_store(settings)
    await store.start()
    state["store"] = True
    try:
        api = create_api(_services(store, Sealer(load_or_create_key(settings.key_file)), settings.data_dir))
        server = _Server(
            uvicorn.Config(api, log_config=None, access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS)
        )
        serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        host, port = listener.getsockname()[:2]
        context.announce("console", f"{host}:{port}")
        state["console"] = True
        stopping = asyncio.get_running_loop().create_task(context.stopping.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        stopping.cancel()
        await serving
    finally:
        await store.stop()


def _services(store: Store, sealer: Sealer, data_dir: Path) -> Services:
    return Services(
        sets=StoredSets(ImageSets(store, sealer)),
        policies=policy_book(store, sealer),
        alerts=AlertLog(store, sealer),
        viewer_token=viewer_token(data_dir / TOKEN_FILE),
    )


def viewer_token(path: Path) -> str:
    """Return the viewer's bearer token in ``path``, made with mode 0600 where there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32) + "\n", encoding="ascii")
    return path.read_text(encoding="ascii").strip()


def _bind(listen: str) -> socket.socket:
    host, port = split_address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(listen_error("console.listen", listen, error)) from error
    listener.setblocking(False)
    return listener
