"""What every command shares: the global options, how results are printed, and the store opened for one command."""

from __future__ import annotations

import asyncio
import json
import sys
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from shared import config
from shared.adapters.opening import open_sealer, open_store
from shared.config import Settings
from shared.errors import StoreError
from shared.ports import Store
from shared.sealing import Sealer

_CONTROLS: Final = frozenset({"Cc", "Zl", "Zp"})


def one_line(text: str) -> str:
    """Return a line with the names of files in it: they may hold ends of lines, and orders to a terminal."""
    return "".join(ascii(char)[1:-1] if unicodedata.category(char) in _CONTROLS else char for char in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The global options of one invocation."""

    config_path: Path | None
    json: bool

    def settings(self) -> Settings:
        """Return the effective configuration; raises ConfigError."""
        return config.load(self.config_path)

    @property
    def bars(self) -> bool:
        """Whether progress is shown."""
        return not self.json and sys.stdout.isatty()

    def row(self, values: Mapping[str, object], text: str) -> None:
        """Print one result: a JSON object a line with ``--json``, else ``text``."""
        # Escapes, for a file's name may hold bytes that are no UTF-8 and arrive as lone surrogates.
        print(json.dumps(values) if self.json else text, flush=True)

    def table(self, columns: tuple[str, ...], rows: list[dict[str, object]]) -> None:
        """Print results as a table, or as one JSON object a line."""
        if self.json:
            for row in rows:
                print(json.dumps(row))
            return
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(*columns)
        for row in rows:
            table.add_row(*(escape(_in_words(row.get(column))) for column in columns))
        Console(width=None if sys.stdout.isatty() else 160).print(table)

    def note(self, text: str) -> None:
        """Tell the user something that is no result: on standard error, so that JSON stays clean."""
        print(text, file=sys.stderr, flush=True)


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value))
    return "" if value is None else str(value)


def session_of(context: typer.Context) -> Session:
    """Return the session that the root command made."""
    session = context.find_object(Session)
    if session is None:
        raise TypeError("a command was run without the root command")
    return session


def with_store[T](
    session: Session,
    use: Callable[[Settings, Store, Sealer], Awaitable[T]],
    *,
    away: Callable[[StoreError], None] | None = None,
) -> T:
    """Open the configured store, run ``use`` on it, close it; a store that is away is told to ``away``, else raised."""
    settings = session.settings()

    async def run() -> T:
        sealer = open_sealer(settings)
        store = open_store(settings)
        try:
            try:
                await store.start()
            except StoreError as error:
                if away is None:
                    raise
                away(error)
            return await use(settings, store, sealer)
        finally:
            await store.stop()

    return asyncio.run(run())
