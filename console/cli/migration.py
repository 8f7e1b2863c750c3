"""``safelight index migrate``: to another encoder while traffic flows, without the original images, and back."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Annotated

import typer

from console.cli.session import Session, session_of, with_store
from shared.adapters.lease import Lease
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.errors import EncoderUnavailableError, LeaseHeldError, UsageError
from shared.ports import Store
from shared.sealing import Sealer
from workers.encoders.generations import Generation, Phase
from workers.encoders.names import EncoderName, find_name
from workers.migration.awaiting import DisagreementError, NotReadyError
from workers.migration.migrating import MIGRATION_LEASE, Choices, Migration, Standing


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate(  # noqa: PLR0913, PLR0917 - the options of a command
    context: typer.Context,
    to: Annotated[str | None, typer.Option(help="Encoder to change to: a version, or VERSION.PRECISION.")] = None,
    status: Annotated[bool, typer.Option("--status", help="Say where a change is.")] = False,
    switch: Annotated[bool, typer.Option("--switch", help="Put the encoder in force that --no-switch left.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the encoder before, or give up.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Forget the encoder before: no way back any more.")] = False,
    no_switch: Annotated[bool, typer.Option("--no-switch", help="With --to: stop before it is in force.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds until every worker has it loaded, at most.")] = 300.0,
    compare_for: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds of live traffic on which both are compared.", show_default="30, 0 without"),
    ] = None,
    least_agreement: Annotated[
        float, typer.Option(min=0, max=1, help="Share of live images that both have to agree on.")
    ] = 0.9,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Wait for no worker, and ask neither whether both agree nor whether all classifiers come along.",
        ),
    ] = False,
) -> None:
    """Change the encoder without the original images, while traffic flows; exit 1 where it was not put in force."""
    session = session_of(context)
    if sum((to is not None, status, switch, rollback, finish)) != 1:
        raise UsageError("say one of --to ENCODER, --status, --switch, --rollback and --finish")
    choices = Choices(wait=wait, compare=compare_for, least_agreement=least_agreement, force=force)

    async def act(settings: Settings, migration: Migration) -> None:
        if to is not None:
            await _to(session, migration, find_name(settings, to), choices, stop=no_switch)
        elif switch:
            _tell(session, await migration.switch(choices))
        elif rollback:
            _tell(session, await migration.back(choices))
        else:
            generation, classifiers = await migration.finish()
            session.row(
                _values(Standing(generation=generation)) | {"classifiers": list(classifiers)},
                f"{generation.encoder.id} alone is kept; {len(classifiers)} classifiers were converted for good",
            )

    async def run(settings: Settings, store: Store, sealer: Sealer) -> bool:
        migration = Migration(settings, store, sealer, SystemClock(), session.note)
        if status:
            _tell(session, await migration.standing())
            return True
        return await _alone(session, store, act(settings, migration))

    if not with_store(session, run):
        raise typer.Exit(1)


async def _alone(session: Session, store: Store, action: Coroutine[None, None, None]) -> bool:
    """Act while nobody else changes the encoder; tell whether it came about."""
    lease = Lease(store, MIGRATION_LEASE)
    try:
        await lease.acquire()
    except LeaseHeldError as error:
        action.close()
        raise UsageError(f"somebody else is just changing the encoder: {error}") from error
    try:
        await action
    except (NotReadyError, DisagreementError, EncoderUnavailableError) as error:
        session.note(f"not changed: {error}")
        return False
    finally:
        await lease.release()
    return True


async def _to(session: Session, migration: Migration, target: EncoderName, choices: Choices, *, stop: bool) -> None:
    prepared = await migration.prepare(target, force=choices.force)
    if prepared.generation.encoder == target:
        session.row(_values(prepared), f"{target.id} is in force already")
        return
    standing = await (migration.standing() if stop else migration.switch(choices))
    _tell(session, replace(standing, left=prepared.left))


def _tell(session: Session, standing: Standing) -> None:
    session.row(_values(standing), "\n".join([*_lines(standing), _ways(standing.generation)]).rstrip())


def _values(standing: Standing) -> dict[str, object]:
    now, tally = standing.generation, standing.tally
    return {
        "encoder": now.encoder.id,
        "other": now.other.id if now.other is not None else None,
        "phase": now.phase.value,
        "switches": now.number,
        "left_behind": list(standing.left.silent()) if standing.left is not None else None,
        "workers": [
            {"serving": word.serving, "beside": word.beside or None, "error": word.error or None}
            for word in standing.workers
        ],
        "compared": {
            "images": tally.images,
            "agreement": round(tally.agreement, 4),
            "sets": [
                {
                    "set": name,
                    "both": each.both,
                    "old_only": each.old_only,
                    "new_only": each.new_only,
                    "neither": each.neither,
                    "mean_difference": round(each.difference / each.compared, 2),
                    "largest_difference": round(each.largest, 2),
                }
                for name, each in sorted(tally.sets.items())
            ],
        },
    }


def _lines(standing: Standing) -> list[str]:
    now, tally = standing.generation, standing.tally
    lines = [f"encoder in force: {now.encoder.id} ({now.phase})"]
    if standing.workers:
        ready = sum(now.other is not None and word.beside == now.other.id for word in standing.workers)
        serving = sum(word.serving == now.encoder.id for word in standing.workers)
        lines.append(f"  workers: {len(standing.workers)}, {serving} answer with it, {ready} have the other one loaded")
    lines += [f"  a worker: {error}" for error in sorted({word.error for word in standing.workers if word.error})]
    if tally.images:
        lines.append(f"  compared on {tally.images} live images: the same sets match for {tally.agreement:.1%}")
    for name, each in sorted(tally.sets.items()):
        lines.append(
            f"  {name}: {each.both} matched by both, {each.old_only} by the old one alone, {each.new_only} by the new"
            f" one alone; scores differ by {each.difference / each.compared:.1f} on average"
        )
    return lines


def _ways(now: Generation) -> str:
    other = now.other.id if now.other is not None else ""
    match now.phase:
        case Phase.SETTLED:
            return ""
        case Phase.COPYING:
            return f"the index of {other} is being made; --to {other} goes on with it, --rollback gives it up"
        case Phase.SHADOW:
            return f"{other} is loaded beside it: --switch puts it in force, --rollback gives it up"
        case Phase.SWITCHED:
            return f"{other} is kept: --rollback goes back to it, --finish forgets it"
