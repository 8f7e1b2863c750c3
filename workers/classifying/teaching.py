"""From image files to examples, and from old and new examples to those that a classifier is fitted on."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

import numpy as np

from shared.core.policy_conditions import OTHER
from shared.errors import UsageError
from shared.types import DecodedImage, Priority
from workers.classifying.fitting import ADVISED, FEWEST
from workers.classifying.model import Example
from workers.classifying.rates import Rates
from workers.classifying.vectors import FeatureModel, row_of
from workers.encoders.embedding_queue import EmbeddingQueue

MANY_STRANGERS: Final = 0.05
"""Share of negatives and drawings that are surely given a label, from which on a user is told what helps."""

OnDuplicate = Literal["relabel", "add"]


class Decodes(Protocol):
    """What decodes files, such as a DecodePool."""

    async def decode(self, data: bytes) -> DecodedImage:
        """Return the image; raises DecodeError."""
        ...


class Eyes:
    """Sees pictures as a worker does: decoded in the sandbox, encoded in batches, described."""

    def __init__(self, decoder: Decodes, embedding: EmbeddingQueue, model: FeatureModel, side: int) -> None:
        self._decoder = decoder
        self._embedding = embedding
        self._model = model
        self._side = side

    async def example(self, name: str, data: bytes, label: str) -> Example:
        """Return a file as an example of a label; raises DecodeError, UsageError for a picture that shows nothing."""
        frame = (await self._decoder.decode(data)).frames[0]
        if frame.low_information:
            raise UsageError("it shows too little to be told from other pictures, such as a blank page")
        vector, described = await asyncio.gather(
            self._embedding.embed(frame.pixels, priority=Priority.BACKGROUND),
            asyncio.to_thread(self._model.describe, frame, self._side),
        )
        row = row_of(vector, described, self._model)
        digest = hashlib.sha256(data).hexdigest()
        return Example(sha256=digest, name=name, label=label, pdq=frame.pdq[0], row=row.astype(np.float16).tobytes())


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The examples of the next revision, and how many of the new ones were new, re-labelled or known already.

    Of those that were ``added``, so many are ``negatives``.
    """

    examples: tuple[Example, ...]
    added: int
    negatives: int
    relabelled: int
    known: int


def merge(old: Sequence[Example], new: Sequence[Example], on_duplicate: OnDuplicate) -> Merged:
    """Return the examples together.

    An image given again with another label is re-labelled, the last word counts; with ``add`` it shows both.
    """
    kept = {_key(example, on_duplicate): example for example in old}
    added = negatives = relabelled = known = 0
    for example in new:
        before = kept.get(_key(example, on_duplicate))
        added += before is None
        negatives += before is None and example.label == OTHER
        known += before is not None and before.label == example.label
        relabelled += before is not None and before.label != example.label
        kept[_key(example, on_duplicate)] = example if before is None else replace(before, label=example.label)
    return Merged(examples=tuple(kept.values()), added=added, negatives=negatives, relabelled=relabelled, known=known)


def check_label(label: str) -> None:
    """Raise UsageError for a label that cannot be one."""
    if not label.strip() or label != label.strip() or label == OTHER:
        raise UsageError(f"{label!r} is no label; negatives are given with --negatives and are called {OTHER}")


def check_count(label: str, count: int) -> None:
    """Raise UsageError for a label of too few images, before any is looked at."""
    if count < FEWEST:
        raise UsageError(f"label {label} has {count} images; at least {FEWEST} are needed, {ADVISED} are advised")


def warnings_about(label: str, count: int) -> tuple[str, ...]:
    """Return what a user should know about a label of ``count`` images."""
    if FEWEST <= count < ADVISED:
        advice = f"{ADVISED} to 100 are advised, and the interval says how little is known"
        return (f"label {label} has {count} images; {advice}",)
    return ()


def advice_on(rates: Rates) -> tuple[str, ...]:
    """Return what would make a classifier better, going by its rates."""
    if rates.strangers.interval.low > MANY_STRANGERS:
        share = f"{100 * rates.strangers.share:.0f} % of the drawings and negatives that show no label"
        return (f"{share} are given one; documents of other kinds as --negatives teach it what a label is not",)
    return ()


def _key(example: Example, on_duplicate: OnDuplicate) -> tuple[str, str]:
    return (example.sha256, example.label if on_duplicate == "add" else "")
