"""Which encoder a deployment runs, and where it is on the way to another: one key in the store, compare-and-set.

    settled   one encoder.  A store without the key is settled on what the configuration says.
    copying   a second one was chosen; the index of it is being made
    shadow    it is made: workers load it beside the first and compare what both say of live traffic
    switched  it is in force; the one before it is kept, so that there is a way back

The way back is a change like any other, from ``switched`` to ``shadow`` with the two exchanged.  Each step is one write
of one key, so a worker never meets half a change, and whoever was killed between two steps is followed by whoever comes
next.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from shared.errors import IntegrityError, UsageError
from shared.ports import Store
from shared.types import GENERATION_KEY
from workers.encoders.names import EncoderName


class Phase(StrEnum):
    """How far a change of the encoder is."""

    SETTLED = "settled"
    COPYING = "copying"
    SHADOW = "shadow"
    SWITCHED = "switched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """``number`` counts switches; ``encoder`` is in force; ``other`` comes next, or came before: see ``phase``.

    ``returning``: the other one was in force before, so its index was made long ago.
    """

    encoder: EncoderName
    number: int = 0
    other: EncoderName | None = None
    phase: Phase = Phase.SETTLED
    returning: bool = False


def begun(now: Generation, target: EncoderName) -> Generation:
    """Begin a change to ``target``, or go on with one; raises UsageError while another one is not over."""
    if target == now.encoder:
        return now
    if now.phase is Phase.SETTLED:
        return replace(now, other=target, phase=Phase.COPYING)
    if now.other == target:
        return returned(now) if now.phase is Phase.SWITCHED else now
    ended = "--finish or --rollback" if now.phase is Phase.SWITCHED else "--rollback"
    raise UsageError(f"a change between {now.encoder.id} and {_id(now.other)} is not over: {ended} first")


def copied(now: Generation) -> Generation:
    """Note that the other encoder's index is made."""
    return replace(now, phase=Phase.SHADOW) if now.phase is Phase.COPYING else now


def returned(now: Generation) -> Generation:
    """Begin the way back to the encoder before; raises UsageError where none is kept."""
    if now.phase is not Phase.SWITCHED:
        raise UsageError("there is no encoder to go back to")
    return replace(now, phase=Phase.SHADOW, returning=True)


def given_up(now: Generation) -> Generation:
    """Give up a change that is not carried out: as if it had not been begun."""
    if now.phase not in (Phase.COPYING, Phase.SHADOW):
        raise UsageError(f"no change is under way: the index is {now.phase}")
    return replace(now, phase=Phase.SWITCHED, returning=False) if now.returning else settled(now)


def switched(now: Generation) -> Generation:
    """Put the other encoder in force; raises UsageError where it is not made."""
    if now.phase is not Phase.SHADOW or now.other is None:
        raise UsageError(f"there is no encoder to switch to: the index is {now.phase}")
    return Generation(encoder=now.other, number=now.number + 1, other=now.encoder, phase=Phase.SWITCHED)


def settled(now: Generation) -> Generation:
    """Forget the other encoder, whichever it is."""
    return Generation(encoder=now.encoder, number=now.number)


class GenerationBook:
    """Reads and moves the key; raises StoreError, IntegrityError where the key makes no sense."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> Generation | None:
        """Return where the deployment is; None for a store that says nothing yet."""
        return (await self._read())[0]

    async def move(self, step: Callable[[Generation], Generation], start: EncoderName) -> Generation:
        """Take a step, from ``start`` where the store says nothing yet, and return what is the case then.

        ``step`` may be asked more than once; raises what it raises.
        """
        while True:
            held, version = await self._read()
            after = step(held or Generation(encoder=start))
            if after == held:
                return after
            value = json.dumps(asdict(after)).encode()
            if await self._store.compare_and_set(GENERATION_KEY, version, value) is not None:
                return after

    async def _read(self) -> tuple[Generation | None, int | None]:
        held = await self._store.get(GENERATION_KEY)
        return (None, None) if held is None else (_generation(held.value), held.version)


def _generation(value: bytes) -> Generation:
    try:
        values: dict[str, Any] = json.loads(value)
        other = values["other"]
        return Generation(
            encoder=EncoderName(**values["encoder"]),
            number=int(values["number"]),
            returning=bool(values["returning"]),
            other=None if other is None else EncoderName(**other),
            phase=Phase(values["phase"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"what the store says of its encoder cannot be read: {error!r}") from error


def _id(name: EncoderName | None) -> str:
    return "" if name is None else name.id
