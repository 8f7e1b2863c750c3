"""Classifiers in the store: a sealed blob a revision, and a small log that says which revision is in force.

A revision's number is the position of its entry in the log.  An entry names the revision that it replaces; one that
does not name the one in force is void, for somebody else was first: the order of the log decides, and everybody who
reads it comes to the same.  So rolling back is one more entry that names an older blob, and nothing is ever locked.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from typing import Final

from shared.errors import IntegrityError, StoreError, UsageError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.types import CLASSIFIER_LOG
from workers.classifying.model import Classifier, pack, unpack

BLOB: Final = "classifiers/"
READ_LIMIT: Final = 500
KEPT_DAYS: Final = 30
"""Revisions that were replaced are kept this long for a roll-back."""
_PLACE: Final = "classifier-log"
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """``number`` 0 is none; ``blob`` is empty where the classifier was deleted; ``at`` in seconds since 1970."""

    number: int
    blob: str
    at: float
    note: str


NOTHING: Final = Revision(number=0, blob="", at=0.0, note="")


class RevisionLog:
    """What the log says, moved on entry by entry."""

    def __init__(self, store: Store, sealer: Sealer) -> None:
        self.store = store
        self._sealer = sealer
        self.position = 0
        self.history: dict[str, list[Revision]] = {}
        self.refusals = 0
        """Entries that do not open here: another key's."""

    async def advance(self) -> bool:
        """Apply the next entries; False at the end of the log.  Raises StoreError."""
        entries = await self.store.read(CLASSIFIER_LOG, self.position, READ_LIMIT)
        for entry in entries:
            try:
                self._apply(entry.position, json.loads(self._sealer.open(entry.value, place=_PLACE)))
            except (IntegrityError, ValueError, KeyError, TypeError):
                self.refusals += 1
            self.position = entry.position
        return bool(entries)

    def current(self, name: str) -> Revision:
        """Return the revision in force, `NOTHING` where there is none."""
        history = self.history.get(name)
        return history[-1] if history and history[-1].blob else NOTHING

    def names(self) -> tuple[str, ...]:
        """Return the classifiers that there are."""
        return tuple(sorted(name for name in self.history if self.current(name).blob))

    async def append(self, name: str, base: int, blob: str, at: float, note: str) -> int:
        """Append an entry that replaces revision ``base``; return its position.  Raises StoreError."""
        entry = json.dumps({"name": name, "base": base, "blob": blob, "at": at, "note": note}).encode()
        return await self.store.append(CLASSIFIER_LOG, [self._sealer.seal(entry, place=_PLACE)])

    async def classifier(self, revision: Revision) -> Classifier:
        """Return a revision; raises IntegrityError where it is gone or broken, StoreError."""
        sealed = await self.store.get_blob(revision.blob)
        if sealed is None:
            raise IntegrityError(f"revision {revision.number} of a classifier is missing from the store")
        return await asyncio.to_thread(lambda: unpack(self._sealer.open(sealed, place=revision.blob)))

    async def put(self, classifier: Classifier) -> str:
        """Store a revision's blob under a new name; raises StoreError."""
        blob = f"{BLOB}{secrets.token_hex(8)}"
        sealed = await asyncio.to_thread(lambda: self._sealer.seal(pack(classifier), place=blob))
        await self.store.put_blob(blob, sealed)
        return blob

    def _apply(self, position: int, entry: dict[str, object]) -> None:
        name, base = str(entry["name"]), int(str(entry["base"]))
        if base != self.current(name).number:
            return
        revision = Revision(
            number=position, blob=str(entry["blob"]), at=float(str(entry["at"])), note=str(entry["note"])
        )
        self.history.setdefault(name, []).append(revision)


class ClassifierBook:
    """Reads and writes classifiers, for commands and the API."""

    def __init__(self, store: Store, sealer: Sealer, clock: Clock) -> None:
        self._log = RevisionLog(store, sealer)
        self._clock = clock

    async def names(self) -> tuple[str, ...]:
        """Return the classifiers that there are; raises StoreError."""
        return (await self._newest()).names()

    async def find(self, name: str) -> tuple[Revision, Classifier] | None:
        """Return the revision in force and its classifier; None where there is none."""
        revision = (await self._newest()).current(name)
        return (revision, await self._log.classifier(revision)) if revision.blob else None

    async def show(self, name: str) -> tuple[Revision, Classifier]:
        """Return the revision in force and its classifier; raises UsageError for an unknown name."""
        found = await self.find(name)
        if found is None:
            known = ", ".join(self._log.names()) or "none"
            raise UsageError(f"no classifier is named {name}; known: {known}")
        return found

    async def history(self, name: str) -> tuple[Revision, ...]:
        """Return the revisions that are kept, oldest first; raises UsageError for an unknown name."""
        revisions = (await self._newest()).history.get(name)
        if revisions is None:
            raise UsageError(f"no classifier is named {name}")
        oldest = self._clock.wall() - KEPT_DAYS * _DAY
        return tuple(one for one in revisions if one is revisions[-1] or one.at >= oldest)

    async def publish(self, classifier: Classifier, base: int, note: str) -> Revision:
        """Put a classifier in force in place of revision ``base``; raises StoreError where another was first."""
        revision = await self._replace(classifier.name, base, await self._log.put(classifier), note)
        await self._forget(classifier.name)
        return revision

    async def roll_back(self, name: str, number: int) -> Revision:
        """Put an older revision in force again; raises UsageError for one that is not kept."""
        kept = {one.number: one for one in await self.history(name) if one.blob}
        if number not in kept:
            numbers = ", ".join(map(str, kept)) or "none"
            raise UsageError(f"{name} has no revision {number}; kept: {numbers}")
        base = self._log.current(name).number
        return await self._replace(name, base, kept[number].blob, f"revision {number} again")

    async def delete(self, name: str) -> None:
        """Delete a classifier; raises UsageError for an unknown name."""
        revision, _ = await self.show(name)
        await self._replace(name, revision.number, "", "deleted")

    async def _newest(self) -> RevisionLog:
        while await self._log.advance():
            pass
        if self._log.position and self._log.refusals == self._log.position:
            raise IntegrityError("no entry of the classifiers' log opens: every host needs the same secrets.key_file")
        return self._log

    async def _replace(self, name: str, base: int, blob: str, note: str) -> Revision:
        position = await self._log.append(name, base, blob, self._clock.wall(), note)
        history = (await self._newest()).history.get(name, [])
        mine = next((one for one in reversed(history) if one.number == position), None)
        if mine is None:
            raise StoreError(f"classifier {name} was changed by somebody else at the same time; try again")
        return mine

    async def _forget(self, name: str) -> None:
        """Delete the blobs that no kept revision of the classifier names."""
        kept = {one.blob for one in await self.history(name)}
        for revision in self._log.history[name]:
            if revision.blob and revision.blob not in kept:
                await self._log.store.delete_blob(revision.blob)
