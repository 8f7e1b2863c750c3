"""``safelight bypass``: on, off, status."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from console.cli.session import Session, session_of, with_store
from console.services.bypass import BypassSwitch, Change
from shared.adapters.bypass_board import BypassFile, BypassInStore
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.core.bypass import LONGEST_SECONDS, Bypass, parse_duration
from shared.ports import Store
from shared.sealing import Sealer

PARTLY: Final = 1
app = typer.Typer(help="Switch inspection off for a while: everything passes uninspected.", no_args_is_help=True)


@app.command()
def on(
    context: typer.Context,
    duration: Annotated[str, typer.Option("--for", help="How long: 90s, 30m, 2h; 24h at most.")],
    reason: Annotated[str, typer.Option(help="Why: it stands in the alert.")],
) -> None:
    """Forward everything uninspected, on every proxy within 2 seconds; ends by itself."""
    seconds = parse_duration(duration, LONGEST_SECONDS)
    _change(session_of(context), lambda switch: switch.on(seconds, reason, _who()))


@app.command()
def off(context: typer.Context) -> None:
    """Inspect again."""
    _change(session_of(context), lambda switch: switch.off(_who()))


@app.command()
def status(context: typer.Context) -> None:
    """Say whether inspection is off, until when, by whom and why, and what was changed lately."""
    session = session_of(context)
    found = _with_switch(session, lambda switch: switch.status())
    active = found.active
    text = _sentence(active) if active else "inspection is on"
    session.row({"bypass": active is not None, **(_values(active) if active else {})}, text)
    for record in found.history:
        if not session.json:
            session.note(
                f"{_time(record.changed_at)}  {'off' if record.on else 'on again'}  {record.who}: {record.reason}"
            )
    if found.unreached:
        session.note(f"note: the store cannot be asked, this is what holds on this machine: {found.unreached}")


def _change(session: Session, change: Callable[[BypassSwitch], Awaitable[Change]]) -> None:
    done = _with_switch(session, change)
    record = done.record
    session.row({"bypass": record.on, **_values(record), "everywhere": not done.unreached}, _sentence(record))
    if done.unreached:
        session.note(
            "only the proxies of this machine are reached; the others follow when the store is back, "
            f"or repeat the command there: {done.unreached}"
        )
        raise typer.Exit(PARTLY)


def _with_switch[T](session: Session, use: Callable[[BypassSwitch], Awaitable[T]]) -> T:
    async def run(settings: Settings, store: Store, sealer: Sealer) -> T:
        switch = BypassSwitch(BypassFile(settings.data_dir, sealer), BypassInStore(store, sealer), SystemClock())
        return await use(switch)

    return with_store(session, run, away=lambda error: session.note(f"note: {error}"))


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _sentence(record: Bypass) -> str:
    if not record.on:
        return "inspection is on again"
    return f"inspection is off until {_time(record.until)}: {record.reason} ({record.who})"


def _values(record: Bypass) -> dict[str, object]:
    return {
        "until": _time(record.until) if record.on else None,
        "who": record.who,
        "reason": record.reason,
        "id": record.id,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
