"""Images of recent traffic that a classifier gave a label, or nearly: candidates for its negatives.

Those of them that do not show the label are the negatives that move its boundary most (hard negative mining: Dalal and
Triggs, "Histograms of oriented gradients for human detection", 2005).  Only a user can tell, so they are listed.  What
is kept is an image's row, digest, hash and score, never the picture; sealed, for DAYS at most, the newest KEPT of all
classifiers; and only where a deployment wants it (``worker.hard_negatives``), for a row tells something of an image.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any, Final

from shared.errors import IntegrityError, StoreError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from shared.types import DecodedFrame
from workers.classifying.dense_features import Floats
from workers.classifying.model import Classifier, Example
from workers.classifying.vectors import Space

HARD_NEGATIVES_LOG: Final = "hard-negatives"
NEAR: Final = 15.0
"""Points below a label's threshold from which an image is a candidate."""
KEPT: Final = 2_000
"""Candidates of all classifiers, 3 KB each; the oldest go first."""
DAYS: Final = 7.0
WAITING: Final = 64
"""Candidates a second and worker; of more, the newest."""
KNOWN: Final = 8_192
"""Images that a worker knows it has noted."""
SECONDS: Final = 1.0
READ_LIMIT: Final = 500
_PLACE: Final = "hard-negatives"
_LENGTH: Final = struct.Struct("<I")
_DAY: Final = 86_400.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An image that may be a hard negative of a classifier.

    ``label`` is the one that it came nearest to, with ``score`` where ``threshold`` is needed.  ``row`` is its vector
    in ``space``, weighed, in half precision; ``at`` in seconds since 1970.
    """

    classifier: str
    space: Space
    label: str
    score: float
    threshold: float
    sha256: str
    pdq: str
    at: float
    row: bytes

    def example(self, label: str) -> Example:
        """Return it as an example of a label, called by its digest: nobody knows the file's name."""
        return Example(
            sha256=self.sha256, name=f"{self.sha256[:12]} of traffic", label=label, pdq=self.pdq, row=self.row
        )


class Candidates:
    """What was seen and is not stored yet; ``note`` is called in any thread."""

    def __init__(self, clock: Clock, *, waiting: int = WAITING, known: int = KNOWN) -> None:
        self._clock = clock
        self._most_waiting, self._most_known = waiting, known
        self._waiting: OrderedDict[tuple[str, str], Candidate] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._one = Lock()

    def note(self, sha256: str, frames: Sequence[DecodedFrame], classifier: Classifier, rows: Floats) -> None:
        """Note a file whose pictures are ``frames`` with n x length ``rows``, if it comes near a label."""
        scores = classifier.scores(rows)
        picture, number = divmod(int(scores.argmax()), scores.shape[1])
        score, threshold = float(scores[picture, number]), classifier.thresholds[number]
        key = (classifier.name, sha256)
        if score < threshold - NEAR:
            return
        candidate = Candidate(
            classifier=classifier.name,
            space=classifier.space,
            label=classifier.labels[number],
            score=round(score, 1),
            threshold=threshold,
            sha256=sha256,
            pdq=frames[picture].pdq[0],
            at=self._clock.wall(),
            row=rows[picture].astype("<f2").tobytes(),
        )
        with self._one:
            if key in self._known:
                return
            self._known[key] = None
            self._waiting[key] = candidate
            if len(self._known) > self._most_known:
                self._known.popitem(last=False)
            if len(self._waiting) > self._most_waiting:
                self._waiting.popitem(last=False)

    def take(self) -> tuple[Candidate, ...]:
        """Return what was noted since the last time."""
        with self._one:
            taken = tuple(self._waiting.values())
            self._waiting.clear()
        return taken

    async def keep(self, store: Store, sealer: Sealer, *, seconds: float = SECONDS) -> None:
        """Store what is noted, for ever; what the store does not take is lost: these are suggestions."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await append(store, sealer, self.take())
            except StoreError as error:
                _log.warning("candidates for negatives are not kept: %s", error)


async def append(store: Store, sealer: Sealer, candidates: Sequence[Candidate]) -> None:
    """Store candidates, and forget those beyond KEPT; raises StoreError."""
    if candidates:
        sealed = [sealer.seal(_pack(each), place=_PLACE) for each in candidates]
        last = await store.append(HARD_NEGATIVES_LOG, sealed)
        if last > KEPT:
            await store.truncate(HARD_NEGATIVES_LOG, last - KEPT)


async def candidates_of(store: Store, sealer: Sealer, classifier: Classifier, now: float) -> tuple[Candidate, ...]:
    """Return the candidates that a classifier can learn from, the highest score first; raises StoreError.

    Those of its own space that are not among its examples, each image once, no older than DAYS at ``now`` (seconds
    since 1970).  What does not open with this key is left out.
    """
    found: dict[str, Candidate] = {}
    position = 0
    while entries := await store.read(HARD_NEGATIVES_LOG, position, READ_LIMIT):
        position = entries[-1].position
        for entry in entries:
            try:
                candidate = _unpack(sealer.open(entry.value, place=_PLACE))
            except IntegrityError as error:
                _log.warning("a candidate for negatives is not read: %s", error)
                continue
            fitting = (candidate.classifier, candidate.space) == (classifier.name, classifier.space)
            if fitting and candidate.at >= now - DAYS * _DAY:
                found[candidate.sha256] = candidate
    taught = {example.sha256 for example in classifier.examples}
    fresh = (candidate for candidate in found.values() if candidate.sha256 not in taught)
    return tuple(sorted(fresh, key=lambda candidate: -candidate.score))


async def forget(store: Store) -> None:
    """Forget the candidates of all classifiers; raises StoreError."""
    await store.truncate(HARD_NEGATIVES_LOG, await store.last_position(HARD_NEGATIVES_LOG))


def _pack(candidate: Candidate) -> bytes:
    values = asdict(candidate)
    row: bytes = values.pop("row")
    text = json.dumps(values).encode()
    return _LENGTH.pack(len(text)) + text + row


def _unpack(data: bytes) -> Candidate:
    try:
        (size,) = _LENGTH.unpack_from(data)
        values: dict[str, Any] = json.loads(data[_LENGTH.size : _LENGTH.size + size])
        space = Space(**values.pop("space"))
        return Candidate(**values, space=space, row=data[_LENGTH.size + size :])
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"it is not one of this version: {error!r}") from error
