"""What does not come along when the encoder changes, found out before anything is changed.

References come along, and classifiers, whose thresholds are scores and so stay; hashes, local features, thumbnails,
policies and remembered objects know no encoder; the calibration and the background bank are the new encoder's own.
Verdicts that are kept for a while name their encoder and run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.errors import EncoderUnavailableError, IntegrityError, UsageError
from shared.ports import Clock, Store
from shared.sealing import Sealer
from workers.classifying.hard_negatives import candidates_of
from workers.classifying.model import Classifier
from workers.classifying.revisions import ClassifierBook
from workers.labels.published import LabelSpaceBook


class Adapts(Protocol):
    """What makes one encoder's classifiers another's, such as an ``Adapter``."""

    def classifier(self, classifier: Classifier) -> Classifier:
        """Return a classifier as the target's; raises IntegrityError, EncoderUnavailableError, UsageError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """``classifiers``: by name, why it cannot be converted; ``shipped``: classifiers that ship for the old one alone.

    ``label_spaces``: networks that were trained behind the old one; ``candidates``: images of recent traffic that
    would be suggested as negatives.
    """

    classifiers: Mapping[str, str]
    shipped: tuple[str, ...]
    label_spaces: tuple[str, ...]
    candidates: int

    def silent(self) -> tuple[str, ...]:
        """Return the names that give no answer any more: what policies ask of them is uninspected."""
        return tuple(sorted({*self.classifiers, *self.shipped, *self.label_spaces}))

    def sentences(self) -> Iterator[str]:
        """Say it to whoever changes the encoder."""
        for name, reason in self.classifiers.items():
            yield f"classifier {name} does not come along: {reason}"
        for name in self.shipped:
            yield f"classifier {name} ships for the encoder before alone and does not come along"
        for name in self.label_spaces:
            yield f"label space {name} does not come along: train it again behind the new encoder"
        if self.candidates:
            yield f"{self.candidates} images that are suggested as negatives are forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEncoder:
    """What has to fit: the index version, the side of its pictures in pixels, and the classifiers that ship for it."""

    id: str
    side: int
    shipped: frozenset[str]


async def left_behind(
    store: Store, sealer: Sealer, clock: Clock, shipped: frozenset[str], target: NewEncoder, adapter: Adapts
) -> LeftBehind:
    """Return what would not come along to ``target`` by ``adapter``; ``shipped`` is there with the old encoder.

    Converts each classifier for it, a second each.  Raises StoreError, IntegrityError.
    """
    classifiers = ClassifierBook(store, sealer, clock)
    broken: dict[str, str] = {}
    candidates = 0
    names = await classifiers.names()
    for name in names:
        _, classifier = await classifiers.show(name)
        candidates += len(await candidates_of(store, sealer, classifier, clock.wall()))
        try:
            await asyncio.to_thread(adapter.classifier, classifier)
        except (UsageError, EncoderUnavailableError, IntegrityError) as error:
            broken[name] = str(error)
    spaces = LabelSpaceBook(store, sealer, clock)
    cards = {name: (await spaces.show(name))[1].card for name in await spaces.names()}
    strange = [
        name
        for name, card in cards.items()
        if (card.encoder != target.id if card.encoder else card.side != target.side)
    ]
    return LeftBehind(
        classifiers=broken,
        shipped=tuple(sorted(shipped - target.shipped - {*names})),
        label_spaces=tuple(strange),
        candidates=candidates,
    )


__all__ = ["LeftBehind", "NewEncoder", "left_behind"]
