"""The console role: serves the HTTP API."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from console import label_reports
from console.api import (
    ClassifierDetails,
    ClassifierView,
    LabelSpaceDetails,
    LabelSpaceView,
    ReferenceView,
    RevisionView,
    Services,
    SetDetails,
    SetView,
    create_api,
)
from console.classifier_reports import details, summary_row
from console.deployment import classifier_book, policy_book
from console.endpoint_route import endpoint_route
from console.services.endpoints import pac_file
from shared.adapters.addresses import join_address, listen_error, split_address
from shared.adapters.alert_log import AlertLog
from shared.adapters.opening import open_sealer, open_store
from shared.adapters.role import RoleContext, SystemClock
from shared.adapters.starting import started
from shared.config import Settings
from shared.errors import ConfigError
from shared.ports import Store
from shared.sealing import secret_in_file
from workers.classifying.revisions import ClassifierBook
from workers.image_sets.enrolment import ImageSets, SetSummary
from workers.image_sets.rollback import Revisions
from workers.labels.published import LabelSpaceBook
from workers.references.kept_bytes import bytes_kept

TOKEN_FILE: Final = "console-token"  # noqa: S105 - a file name
SHUTDOWN_SECONDS: Final = 1
"""Less than the time the supervisor gives this role."""
BACKLOG: Final = 128


class StoredSets:
    """The API's view of image sets, read from the index log."""

    def __init__(self, sets: ImageSets, revisions: Revisions) -> None:
        self._sets = sets
        self._revisions = revisions

    async def list(self) -> list[SetView]:
        """Return every set."""
        return [SetView(**_options(one)) for one in await self._sets.list()]

    async def show(self, name: str) -> SetDetails:
        """Return one set; raises UsageError for an unknown name."""
        contents = await self._sets.show(name)
        items = [
            ReferenceView(
                reference=reference.reference,
                name=reference.name,
                sha256=reference.sha256,
                bytes=bytes_kept(reference),
                thumbnail=bool(reference.thumbnail),
            )
            for reference in contents.references
        ]
        return SetDetails(**_options(contents.summary), items=items)

    async def history(self, name: str) -> Sequence[RevisionView]:
        """Return a set's revisions that are kept, the oldest first; raises UsageError for an unknown name."""
        return [
            RevisionView(
                revision=past.position,
                at=datetime.fromtimestamp(past.at, UTC),
                what=past.what,
                reference=past.reference or None,
                name=past.name or None,
                threshold=past.threshold,
                rolled_back_to=past.revision,
                kept=bool(past.kept),
            )
            for past in await self._revisions.history(name)
        ]

    async def thumbnail(self, name: str, reference: str) -> bytes:
        """Return a reference's JPEG, empty where none is kept; raises UsageError, IntegrityError."""
        return await self._sets.thumbnail(name, reference)


class StoredClassifiers:
    """The API's view of classifiers, read from their log."""

    def __init__(self, book: Callable[[], Awaitable[ClassifierBook]]) -> None:
        self._book = book

    async def list(self) -> list[ClassifierView]:
        """Return every classifier."""
        book = await self._book()
        return [ClassifierView(**summary_row(*await book.show(name))) for name in await book.names()]

    async def show(self, name: str) -> ClassifierDetails:
        """Return one classifier; raises UsageError for an unknown name."""
        return ClassifierDetails(**details(*await (await self._book()).show(name)))


class StoredLabelSpaces:
    """The API's view of label spaces, read from the same log."""

    def __init__(self, book: Callable[[], LabelSpaceBook]) -> None:
        self._book = book

    async def list(self) -> list[LabelSpaceView]:
        """Return every label space."""
        book = self._book()
        shown = [(name, await book.show(name)) for name in await book.names()]
        return [
            LabelSpaceView(**label_reports.summary_row(name, revision, space.card)) for name, (revision, space) in shown
        ]

    async def show(self, name: str) -> LabelSpaceDetails:
        """Return one label space; raises UsageError for an unknown name."""
        revision, space = await self._book().show(name)
        return LabelSpaceDetails(**label_reports.details(name, revision, space.card))


def _options(summary: SetSummary) -> dict[str, Any]:
    values = asdict(summary)
    values["references"] = values.pop("size")
    return values


class _Server(uvicorn.Server):
    """Signals belong to the role runner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_console(context: RoleContext) -> None:
    """Serve until the role is stopped."""
    settings = context.settings
    services = _services(store := open_store(settings), settings)
    state = {"store": False, "console": False}
    context.readiness.add("store", lambda: state["store"])
    context.readiness.add("console", lambda: state["console"])
    listener = bind(settings.console.listen)
    try:
        if await started("the store", store.start, context.stopping):
            state["store"] = True
            # Not before: a client that connects would wait for an answer that may never come.
            with _listen_errors(listener, settings.console.listen):
                listener.listen(BACKLOG)
            context.announce("console", join_address(*listener.getsockname()[:2]))
            state["console"] = True
            await _serve(create_api(services), listener, context.stopping)
    finally:
        listener.close()
        await store.stop()


async def _serve(api: FastAPI, listener: socket.socket, stop: asyncio.Event) -> None:
    server = _Server(
        uvicorn.Config(
            api, log_config=None, access_log=False, backlog=BACKLOG, timeout_graceful_shutdown=SHUTDOWN_SECONDS
        )
    )
    serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    stopping = asyncio.get_running_loop().create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving


def _services(store: Store, settings: Settings) -> Services:
    sealer = open_sealer(settings)
    return Services(
        sets=StoredSets(
            ImageSets(store, sealer), Revisions(store, sealer, SystemClock(), keep_days=settings.index.keep_days)
        ),
        classifiers=StoredClassifiers(lambda: classifier_book(settings, store, sealer)),
        labels=StoredLabelSpaces(lambda: LabelSpaceBook(store, sealer, SystemClock())),
        policies=policy_book(settings, store, sealer),
        alerts=AlertLog(store, sealer),
        viewer_token=viewer_token(settings.data_dir / TOKEN_FILE),
        pac=lambda: pac_file(endpoint_route(settings)),
    )


def viewer_token(path: Path) -> str:
    """Return the viewer's bearer token in ``path``, made where there is none.  Raises ConfigError."""
    return secret_in_file(path, lambda: secrets.token_urlsafe(32))


def bind(listen: str) -> socket.socket:
    """Return a socket bound to ``console.listen``, not listening yet; raises ConfigError."""
    host, port = split_address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with _listen_errors(listener, listen):
        listener.bind((host, port))
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def _listen_errors(listener: socket.socket, listen: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        listener.close()
        raise ConfigError(listen_error("console.listen", listen, error)) from error
