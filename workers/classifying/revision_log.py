"""What gives labels, in the store: a sealed blob a revision, and one small log that says which is in force.

Classifiers and label spaces have one log, so that a name stands for one of them.  A revision's number is the position
of its entry.  An entry names the revision that it replaces; one that does not name the one in force is void, for
somebody else was first: the order of the log decides, and everybody who reads it comes to the same.  So rolling back
is one more entry that names an older blob, and nothing is ever locked.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from shared.errors import IntegrityError, StoreError, UsageError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.types import CLASSIFIER_LOG

BLOB: Final = "classifiers/"
READ_LIMIT: Final = 500
KEPT_DAYS: Final = 30
"""Revisions that were replaced are kept this long for a roll-back."""
_PLACE: Final = "classifier-log"
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind[Model]:
    """What a name may stand for, such as a ``classifier``: its bytes, and back; ``unpack`` raises IntegrityError."""

    name: str
    pack: Callable[[Model], bytes]
    unpack: Callable[[bytes], Model]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """``number`` 0 is none; ``blob`` is empty where the name was deleted; ``at`` in seconds since 1970."""

    number: int
    kind: str
    blob: str
    at: float
    note: str


NOTHING: Final = Revision(number=0, kind="", blob="", at=0.0, note="")


class RevisionLog:
    """What the log says, moved on entry by entry."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self.store = store
        self.sealer = sealer
        self.position = 0
        self.history: dict[str, list[Revision]] = {}
        self.refusals = 0
        """Entries that do not open here: another key's."""

    async def advance(self) -> bool:
        """Apply the next entries; False at the end of the log.  Raises StoreError."""
        entries = await self.store.read(CLASSIFIER_LOG, self.position, READ_LIMIT)
        for entry in entries:
            try:
                self._apply(entry.position, json.loads(self.sealer.open(entry.value, place=_PLACE)))
            except (IntegrityError, ValueError, KeyError, TypeError):
                self.refusals += 1
            self.position = entry.position
        return bool(entries)

    async def catch_up(self) -> None:
        """Apply all entries; raises StoreError, IntegrityError where none of them opens."""
        while await self.advance():
            pass
        if self.position and self.refusals == self.position:
            raise IntegrityError("no entry of the classifiers' log opens: every host needs the same secrets.key_file")

    def current(self, name: str) -> Revision:
        """Return the revision in force, `NOTHING` where there is none."""
        history = self.history.get(name)
        return history[-1] if history and history[-1].blob else NOTHING

    def names(self, kind: str | None = None) -> tuple[str, ...]:
        """Return what there is, of one kind or of all."""
        return tuple(sorted(name for name in self.history if self.current(name).kind and self._is(name, kind)))

    async def append(self, name: str, base: int, kind: str, blob: str, at: float, note: str) -> int:
        """Append an entry that replaces revision ``base``; return its position.  Raises StoreError."""
        entry = {"name": name, "base": base, "kind": kind, "blob": blob, "at": at, "note": note}
        return await self.store.append(CLASSIFIER_LOG, [self.sealer.seal(json.dumps(entry).encode(), place=_PLACE)])

    async def read[Model](self, revision: Revision, unpack: Callable[[bytes], Model]) -> Model:
        """Return what a revision's bytes are unpacked to, in a thread.

        Raises IntegrityError where they are gone or broken, what ``unpack`` raises, StoreError.
        """
        sealed = await self.store.get_blob(revision.blob)
        if sealed is None:
            raise IntegrityError(f"revision {revision.number} is missing from the store")
        return await asyncio.to_thread(lambda: unpack(self.sealer.open(sealed, place=revision.blob)))

    async def put(self, pack: Callable[[], bytes]) -> str:
        """Store a revision's bytes under a new name, which is returned; raises StoreError."""
        blob = f"{BLOB}{secrets.token_hex(8)}"
        sealed = await asyncio.to_thread(lambda: self.sealer.seal(pack(), place=blob))
        await self.store.put_blob(blob, sealed)
        return blob

    def _is(self, name: str, kind: str | None) -> bool:
        return kind is None or self.current(name).kind == kind

    def _apply(self, position: int, entry: dict[str, object]) -> None:
        name, base = str(entry["name"]), int(str(entry["base"]))
        if base != self.current(name).number:
            return
        revision = Revision(
            number=position,
            kind=str(entry["kind"]),
            blob=str(entry["blob"]),
            at=float(str(entry["at"])),
            note=str(entry["note"]),
        )
        self.history.setdefault(name, []).append(revision)


async def names_in_force(store: Store, sealer: Sealer) -> tuple[str, ...]:
    """Return all that labels may be asked of, whatever its kind; raises StoreError, IntegrityError."""
    log = RevisionLog(store, sealer)
    await log.catch_up()
    return log.names()


class RevisionBook[Model]:
    """Reads and writes what is of one kind, for commands and the API; ``shipped`` is there without a revision."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        clock: Clock,
        kind: Kind[Model],
        shipped: Mapping[str, Model] = MappingProxyType({}),
    ) -> None:
        self._shipped = shipped
        self._log = RevisionLog(store, sealer)
        self._clock = clock
        self._kind = kind

    async def names(self) -> tuple[str, ...]:
        """Return those that there are; raises StoreError."""
        return tuple(sorted({*(await self._newest()).names(self._kind.name), *self._shipped}))

    async def find(self, name: str) -> tuple[Revision, Model] | None:
        """Return the revision in force and what it is, `NOTHING` for what ships; None where there is none.

        Raises UsageError where the name stands for something of another kind.
        """
        revision = await self.in_force(name)
        if revision.blob:
            return revision, await self._log.read(revision, self._kind.unpack)
        return (NOTHING, self._shipped[name]) if name in self._shipped else None

    async def in_force(self, name: str) -> Revision:
        """Return the revision in force, `NOTHING` where there is none; raises what ``find`` raises."""
        revision = (await self._newest()).current(name)
        if revision.blob and revision.kind != self._kind.name:
            raise UsageError(f"{name} is a {revision.kind}, not a {self._kind.name}: policies know both by their names")
        return revision

    async def show(self, name: str) -> tuple[Revision, Model]:
        """Return the revision in force and what it is; raises UsageError for an unknown name."""
        found = await self.find(name)
        if found is None:
            raise self._unknown(name)
        return found

    async def history(self, name: str) -> tuple[Revision, ...]:
        """Return the revisions that are kept, oldest first; raises UsageError for an unknown name."""
        kept = tuple(one for one in self._kept(await self._newest(), name) if one.kind == self._kind.name)
        if not kept and name not in self._shipped:
            raise UsageError(f"no {self._kind.name} is named {name}")
        return kept

    async def publish(self, name: str, model: Model, base: int, note: str) -> Revision:
        """Put a model in force in place of revision ``base``; raises StoreError where another was first."""
        blob = await self._log.put(lambda: self._kind.pack(model))
        return await self._replace(name, base, blob, note)

    async def roll_back(self, name: str, number: int) -> Revision:
        """Put an older revision in force again; raises UsageError for one that is not kept."""
        kept = {one.number: one for one in await self.history(name) if one.blob}
        if number not in kept:
            numbers = ", ".join(map(str, kept)) or "none"
            raise UsageError(f"{name} has no revision {number}; kept: {numbers}")
        base = self._log.current(name).number
        return await self._replace(name, base, kept[number].blob, f"revision {number} again")

    async def delete(self, name: str) -> None:
        """Delete it, also where its bytes cannot be read; raises UsageError for an unknown name."""
        revision = await self.in_force(name)
        if not revision.blob and name in self._shipped:
            raise UsageError(f"{name} ships with the product; it is asked only where a policy names it")
        if not revision.blob:
            raise self._unknown(name)
        await self._replace(name, revision.number, "", "deleted")

    def _unknown(self, name: str) -> UsageError:
        known = ", ".join(sorted({*self._log.names(self._kind.name), *self._shipped})) or "none"
        return UsageError(f"no {self._kind.name} is named {name}; known: {known}")

    async def _newest(self) -> RevisionLog:
        await self._log.catch_up()
        return self._log

    async def _replace(self, name: str, base: int, blob: str, note: str) -> Revision:
        position = await self._log.append(name, base, self._kind.name, blob, self._clock.wall(), note)
        history = (await self._newest()).history.get(name, [])
        mine = next((one for one in reversed(history) if one.number == position), None)
        if mine is None:
            raise StoreError(f"{self._kind.name} {name} was changed by somebody else at the same time; try again")
        await self._forget()
        return mine

    def _kept(self, log: RevisionLog, name: str) -> tuple[Revision, ...]:
        """The last revision, and those that were replaced not long ago."""
        oldest = self._clock.wall() - KEPT_DAYS * _DAY
        revisions = log.history.get(name, [])
        replaced = tuple(one for one, next_ in pairwise(revisions) if next_.at >= oldest)
        return (*replaced, *revisions[-1:])

    async def _forget(self) -> None:
        """Delete the blobs that no kept revision names: of every name, for one that was deleted is written no more."""
        for name, history in self._log.history.items():
            kept = {one.blob for one in self._kept(self._log, name)}
            for blob in {one.blob for one in history} - kept - {""}:
                await self._log.store.delete_blob(blob)
