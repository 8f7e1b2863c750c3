"""Changes a deployment's encoder step by step; each can be repeated, by whoever comes after one that was killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from shared.adapters.lease import Lease
from shared.config import Settings
from shared.errors import EncoderUnavailableError, UsageError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.telemetry import Metrics
from workers.classifying.builtin import builtins_of
from workers.encoders.generations import (
    Generation,
    GenerationBook,
    Phase,
    begun,
    copied,
    given_up,
    returned,
    settled,
    switched,
)
from workers.encoders.in_force import in_force
from workers.encoders.names import EncoderName, card_of
from workers.index.compaction import LEASE_KEY
from workers.index.replica import IndexReplica
from workers.migration.adapting import Adapter, adapter_if_any, load_adapter
from workers.migration.awaiting import all_ready, all_serving, check_agreement, tally_of
from workers.migration.comparing import Tally
from workers.migration.copying import Counted, convert_classifiers, keep_alone, make_index, taken
from workers.migration.leaving import LeftBehind, NewEncoder, left_behind
from workers.migration.roll_call import RollCall, WorkerWord

MIGRATION_LEASE: Final = "index/migration"
LOOK_SECONDS: Final = 0.25
SERVING_SECONDS: Final = 30.0
"""Workers take over within one look at the store; one that is not heard of is not waited for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """How patient and how strict a change is: seconds, and a share (0..1) of live images.

    ``compare`` None: as long as there are workers to compare, `COMPARE_SECONDS`.
    """

    wait: float = 300.0
    compare: float | None = None
    least_agreement: float = 0.9
    force: bool = False


COMPARE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a deployment is, and what its workers say; ``left``: what does not come along, where that was asked."""

    generation: Generation
    workers: tuple[WorkerWord, ...] = ()
    tally: Tally = field(default_factory=Tally)
    left: LeftBehind | None = None


class Migration:
    """All raise StoreError, IntegrityError; ``say`` is told what goes on, a sentence each."""

    def __init__(
        self, settings: Settings, store: Store, sealer: Sealer, clock: Clock, say: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._say = say
        self._book = GenerationBook(store)
        self._roll = RollCall(store, clock)

    async def standing(self) -> Standing:
        """Return where the deployment is now."""
        generation = await in_force(self._settings, self._store)
        words = await self._roll.present()
        return Standing(generation=generation, workers=words, tally=tally_of(words))

    async def prepare(self, target: EncoderName, *, force: bool = False) -> Standing:
        """Make the index of ``target``, or see that it is there, and have workers load it beside the one in force.

        Raises EncoderUnavailableError where the encoder or a converter is missing, or, without ``force``, where a
        classifier cannot be converted; UsageError while another change is not over.
        """
        now = await in_force(self._settings, self._store)
        if target == now.encoder:
            return Standing(generation=now)
        convert = await asyncio.to_thread(load_adapter, self._settings, target, now.encoder)
        await asyncio.to_thread(load_adapter, self._settings, now.encoder, target)  # for the way back
        left = await self._left(now.encoder, target, convert)
        if left.classifiers and not force:
            raise EncoderUnavailableError("; ".join([*left.sentences(), "--force changes the encoder all the same"]))
        for sentence in left.sentences():
            self._say(sentence)
        generation = await self._book.move(lambda was: begun(was, target), now.encoder)
        if generation.phase is Phase.COPYING:
            await self._copy(now.encoder, target, convert)
            generation = await self._book.move(copied, now.encoder)
        return Standing(generation=generation, left=left)

    async def _copy(self, source: EncoderName, target: EncoderName, convert: Adapter) -> None:
        counted = Counted(convert.references, lambda count: self._say(f"{count:,} references converted"))
        lease = Lease(self._store, LEASE_KEY)
        await taken(lease)
        try:
            total = await make_index(self._replica(source), self._replica(target, counted), self._clock)
        finally:
            await lease.release()
        self._say(f"the index of {target.id} is made: {total:,} references")

    async def _left(self, source: EncoderName, target: EncoderName, adapter: Adapter) -> LeftBehind:
        shipped = await asyncio.to_thread(builtins_of, self._settings, source)
        theirs = await asyncio.to_thread(builtins_of, self._settings, target)
        new = NewEncoder(
            id=target.id, side=int(card_of(self._settings, target).facts["side"]), shipped=frozenset(theirs)
        )
        return await left_behind(self._store, self._sealer, self._clock, frozenset(shipped), new, adapter)

    async def switch(self, choices: Choices) -> Standing:
        """Wait until every worker is ready, compare, and put the other encoder in force.

        Raises NotReadyError and DisagreementError, neither with ``force``; UsageError where no other is made.
        """
        now = await in_force(self._settings, self._store)
        if now.phase is not Phase.SHADOW or now.other is None:
            raise UsageError(f"there is no encoder to switch to: the index is {now.phase}")
        words = await self._ready(now.other, choices)
        tally = tally_of(words)
        if not now.returning:
            tally = await self._compared(words, choices)
        after = await self._book.move(switched, now.encoder)
        self._say(f"{after.encoder.id} is in force")
        await self._serving(after.encoder)
        return Standing(generation=after, workers=await self._roll.present(), tally=tally)

    async def back(self, choices: Choices) -> Standing:
        """Put the encoder before in force again, or give up a change that is not carried out."""
        now = await in_force(self._settings, self._store)
        if now.phase is Phase.SWITCHED:
            now = await self._book.move(returned, now.encoder)
        if now.phase is Phase.SHADOW and now.returning:
            return await self.switch(choices)
        after = await self._book.move(given_up, now.encoder)
        await self._alone(after)
        self._say(f"the change is given up: {after.encoder.id} stays in force")
        return Standing(generation=after)

    async def finish(self) -> tuple[Generation, tuple[str, ...]]:
        """Forget the encoder before; return the classifiers that were converted for good.  No way back after this."""
        now = await in_force(self._settings, self._store)
        if now.phase in (Phase.COPYING, Phase.SHADOW):
            raise UsageError("the change is not carried out: --switch or --rollback first")
        adapter = None
        if now.other is not None:
            adapter = await asyncio.to_thread(load_adapter, self._settings, now.encoder, now.other)
        names: tuple[str, ...] = ()
        if adapter is not None:
            names = await convert_classifiers(self._store, self._sealer, self._clock, adapter)
        await self._alone(now)
        return await self._book.move(settled, now.encoder), names

    async def _alone(self, generation: Generation) -> None:
        """Keep the index of the encoder in force only."""
        adapter = adapter_if_any(self._settings, generation)
        convert = None if adapter is None else Counted(adapter.references, lambda _: None)
        lease = Lease(self._store, LEASE_KEY)
        await taken(lease)
        try:
            await keep_alone(self._replica(generation.encoder, convert), self._clock)
        finally:
            await lease.release()

    def _replica(self, name: EncoderName, convert: Counted | None = None) -> IndexReplica:
        calibration = card_of(self._settings, name).read_calibration(name.precision)
        return IndexReplica(self._store, self._sealer, name.id, calibration, Metrics(), convert=convert)

    async def _ready(self, encoder: EncoderName, choices: Choices) -> tuple[WorkerWord, ...]:
        began = self._clock.monotonic()
        words: tuple[WorkerWord, ...] = ()
        while not choices.force:
            words = await self._roll.present()
            if all_ready(words, encoder.id, self._clock.monotonic() - began, choices.wait):
                break
            await asyncio.sleep(LOOK_SECONDS)
        self._say(f"{len(words)} workers have {encoder.id} loaded" if words else "no worker runs")
        return words

    async def _compared(self, words: tuple[WorkerWord, ...], choices: Choices) -> Tally:
        seconds = choices.compare if choices.compare is not None else COMPARE_SECONDS * bool(words)
        if seconds:
            self._say(f"comparing on live traffic for {seconds:g} s")
        await asyncio.sleep(seconds)
        tally = tally_of(await self._roll.present())
        if not choices.force:
            check_agreement(tally, choices.least_agreement)
        return tally

    async def _serving(self, encoder: EncoderName) -> None:
        until = self._clock.monotonic() + SERVING_SECONDS
        while not all_serving(await self._roll.present(), encoder.id):
            if self._clock.monotonic() > until:
                self._say("not every worker has taken over yet; each does as soon as it can")
                return
            await asyncio.sleep(LOOK_SECONDS)


__all__ = ["MIGRATION_LEASE", "Choices", "Migration", "Standing"]
