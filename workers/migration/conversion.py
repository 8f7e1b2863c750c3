"""From one encoder's embeddings to another's, without a picture: references, their views' signs, classifiers.

A converter is a small network, trained on pictures that both encoders saw (``workers/training/converter.py``).  All of
a deployment's lie in one folder, CONVERTERS in its data directory, and none ships: a pair is trained where both
encoders are.  Each direction is a converter of its own; the way back serves what was enrolled since.

    SOURCE.to.TARGET.onnx        vectors, float32 N x D to N x E, both L2 = 1
    SOURCE.to.TARGET.views.onnx  views: signs of D dimensions as +-1/sqrt(D), to N x E whose signs count; may be missing
    SOURCE.to.TARGET.json        what they are: ids of index versions, SHA-256, scale, what was measured

What does not depend on the encoder stays: bytes, PDQ hash, local features, sketch, thumbnail, a classifier's hand-made
kinds.  Scores stay honest by ``scale``: unrelated pictures come as near to a converted reference as to a native one,
with the calibration of the target, once its cosines are multiplied by it.  The kept vector is scaled, so converted and
native references are searched and scored alike, in one index.

Not converted: answers that are kept for a while (verdict caches, which name the encoder and run out by themselves), the
history of embeddings that hard negatives are suggested from, and label networks, which are trained behind one encoder:
train them again.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import batched
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import EncoderUnavailableError, IntegrityError
from shared.types import Reference
from workers.classifying.bank import Bank
from workers.classifying.bank import to_bytes as bank_bytes
from workers.classifying.fitting import Recipe, fit
from workers.classifying.model import Classifier, rows_of
from workers.classifying.vectors import WEIGHTS, Space, unit
from workers.encoders.embeddings import Vectors, from_bytes, to_bytes
from workers.encoders.session import import_runtime, open_session
from workers.search.sign_index import signs

CONVERTERS: Final = "converters"
"""Folder of the data directory where converters are."""
CARD_LIMIT: Final = 1 << 20
ROWS_AT_ONCE: Final = 1024
REFERENCES_AT_ONCE: Final = 256
"""Their views are 25 MB of numbers while they are converted."""
INDEX_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionReport:
    """What was measured on held-out pictures, after training on ``trained_on``: ``queries`` edited copies of them.

    ``native``, ``converted``, ``old``: recall at rank 1, 0..1, with references and queries of the target, with
    references converted and queries of the target, and with references and queries of the source.  ``found_…``: share
    of the copies that reach score 85 by the encoder and the views alone, in a small set; ``false_…``: share of
    unrelated pairs that do.  ``cosine``: mean between a converted and a native vector.  ``bits``: share of the views'
    signs that agree with the native ones (None: views are left out).
    """

    trained_on: int
    held_out: int
    queries: int
    native: float
    converted: float
    old: float
    found_native: float
    found_converted: float
    found_old: float
    false_native: float
    false_converted: float
    cosine: float
    bits: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConverterCard:
    """What is known of a converter; ``source`` and ``target`` are ids of index versions, digests are SHA-256.

    ``encoders``: of the source's and the target's model file.  ``views``: of the views' file, empty where the signs of
    views cannot be converted and are left out.
    """

    source: str
    target: str
    encoders: tuple[str, str]
    sha256: str
    views: str
    scale: float
    report: ConversionReport


class Converter:
    """A loaded converter; may be used from any thread.  Blocks while it computes: 20 microseconds a vector."""

    def __init__(self, card: ConverterCard, model: bytes, views: bytes | None, *, threads: int = 1) -> None:
        """Raises EncoderUnavailableError for files that cannot be loaded."""
        runtime = import_runtime()
        self.card: Final = card
        self.source: Final = card.source
        self.target: Final = card.target
        self.report: Final = card.report
        self._session = open_session(runtime, model, threads, "cpu")
        self._views = None if views is None else open_session(runtime, views, threads, "cpu")
        self.source_dimension: Final = int(self._session.get_inputs()[0].shape[1])
        self.dimension: Final = int(self._session.get_outputs()[0].shape[1])

    @property
    def converts_views(self) -> bool:
        """Whether the signs of views are converted; where not, a converted reference has none."""
        return self._views is not None

    def convert(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return n x dimension, L2 = 1, for n x source_dimension, L2 = 1; raises IntegrityError for another length."""
        return self._run(self._session, vectors)

    def convert_signs(self, views: bytes) -> bytes:
        """Return the packed signs of views, as the target would have them; raises IntegrityError for a broken length.

        Empty where this converter has nothing for them.
        """
        if self._views is None or not views:
            return b""
        size = self.source_dimension // 8
        if size == 0 or len(views) % size:
            raise IntegrityError(f"views of {len(views)} bytes are no codes of {self.source_dimension} bits")
        bits = np.unpackbits(np.frombuffer(views, np.uint8).reshape(-1, size), axis=1)
        return signs(self._run(self._views, sign_inputs(bits)))

    def _run(self, session: Any, vectors: NDArray[np.float32]) -> Vectors:
        if vectors.ndim != 2 or vectors.shape[1] != self.source_dimension:
            raise IntegrityError(f"{self.source} has {self.source_dimension} dimensions, not {vectors.shape[1:]}")
        name = session.get_inputs()[0].name
        found = np.empty((len(vectors), self.dimension), np.float32)
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            rows = np.ascontiguousarray(vectors[start : start + ROWS_AT_ONCE], np.float32)
            found[start : start + len(rows)] = session.run(None, {name: rows})[0]
        if not np.isfinite(found).all():
            raise IntegrityError("a converted embedding is not finite")
        return unit(found)


def sign_inputs(bits: NDArray[np.uint8]) -> Vectors:
    """Return n x dimension bits as the vectors of length 1 that have these signs."""
    return np.asarray((bits.astype(np.float32) * 2 - 1) / math.sqrt(bits.shape[1]), np.float32)


def converter_path(folder: Path, source: str, target: str) -> Path:
    """Return where the converter from index version ``source`` to ``target`` is; raises EncoderUnavailableError."""
    for name in (source, target):
        if not INDEX_ID.fullmatch(name):
            raise EncoderUnavailableError(f"{name!r} names no index version")
    return folder / f"{source}.to.{target}.onnx"


def views_path(model: Path) -> Path:
    """Return where the views' file of a converter is."""
    return model.with_suffix(".views.onnx")


def load_converter(folder: Path, source: str, target: str, *, threads: int = 1) -> Converter:
    """Load the converter between two index versions from a deployment's ``data_dir / CONVERTERS``.

    Raises EncoderUnavailableError where there is none, saying how to train it, and where its files are not its card's.
    """
    path = converter_path(folder, source, target)
    if not path.with_suffix(".json").exists():
        raise EncoderUnavailableError(
            f"there is no converter from {source} to {target} in {folder};"
            f" to train it: safelight encoder converter --from {source} --to {target} --images DIR"
        )
    card = read_card(path.with_suffix(".json"))
    if (card.source, card.target) != (source, target):
        raise EncoderUnavailableError(f"{path} is of {card.source} to {card.target}")
    views = _checked(views_path(path), card.views) if card.views else None
    return Converter(card, _checked(path, card.sha256), views, threads=threads)


def read_card(path: Path) -> ConverterCard:
    """Return a converter's card; raises EncoderUnavailableError for one that is broken."""
    try:
        with path.open(encoding="utf-8") as stream:
            facts = json.loads(stream.read(CARD_LIMIT))
        source_digest, target_digest = map(str, facts["encoders"])
        scale = float(facts["scale"])
        if not 0.0 < scale < math.inf:
            raise ValueError("the scale is a positive number")
        return ConverterCard(
            source=str(facts["source"]),
            target=str(facts["target"]),
            encoders=(source_digest, target_digest),
            sha256=str(facts["sha256"]),
            views=str(facts["views"]),
            scale=scale,
            report=ConversionReport(**facts["report"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderUnavailableError(f"the card of converter {path.stem} cannot be read: {error!r}") from error


def _checked(path: Path, digest: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EncoderUnavailableError(f"converter {path.stem} is incomplete: {error}") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise EncoderUnavailableError(f"{path} is not the file that its card describes")
    return data


def converted_reference(reference: Reference, converter: Converter) -> Reference:
    """Return a reference as one of the target; raises IntegrityError for one of another encoder than the source."""
    (converted,) = converted_references([reference], converter)
    return converted


def converted_references(references: Sequence[Reference], converter: Converter) -> list[Reference]:
    """Return references as the target's, in their order: vectors, scaled for honest scores, and the views' signs.

    Takes 0.5 ms of a core for each: call it in a thread.  Raises IntegrityError for one that is another encoder's.
    """
    return [each for part in batched(references, REFERENCES_AT_ONCE) for each in _converted(part, converter)]


def _converted(references: Sequence[Reference], converter: Converter) -> Iterator[Reference]:
    for reference in references:
        if reference.encoder != converter.source:
            raise IntegrityError(
                f"reference {reference.reference} is of encoder {reference.encoder}, not {converter.source}"
            )
    stored = [vector for reference in references for vector in reference.vectors]
    scaled = unit(converter.convert(unit(_from_bytes(stored)))) * np.float32(converter.card.scale) if stored else ()
    vectors = iter([to_bytes(vector) for vector in scaled])
    codes = converter.convert_signs(b"".join(reference.views for reference in references))
    place = 0
    for reference in references:
        size = len(reference.views) * converter.dimension // converter.source_dimension if codes else 0
        yield replace(
            reference,
            encoder=converter.target,
            converted_from=converter.source,
            vectors=tuple(next(vectors) for _ in reference.vectors),
            views=codes[place : place + size],
        )
        place += size


def _from_bytes(stored: Sequence[bytes]) -> Vectors:
    try:
        return from_bytes(stored)
    except ValueError as error:
        raise IntegrityError(f"kept vectors are of several lengths: {error}") from error


def converted_classifier(classifier: Classifier, converter: Converter, bank: Bank, now: float) -> Classifier:
    """Return a classifier of the same examples in the target's space, fitted and calibrated anew with its ``bank``.

    The examples' hand-made kinds stay, and so do labels, thresholds and mode: a threshold is a score, and scores are
    calibrated on the bank.  ``now`` in seconds since 1970.  Takes a second of a core or so.  Raises IntegrityError for
    a classifier of another encoder than the source, UsageError where a label has too few examples.
    """
    if classifier.space.encoder != converter.source:
        raise IntegrityError(f"classifier {classifier.name} is of {classifier.space}, not of {converter.source}")
    rows = rows_of(classifier.examples)
    encoded = converter.convert(unit(rows[:, : converter.source_dimension])) * np.float32(WEIGHTS["encoder"])
    moved = np.concatenate([encoded, rows[:, converter.source_dimension :]], axis=1).astype(np.float16)
    examples = (replace(example, row=row.tobytes()) for example, row in zip(classifier.examples, moved, strict=True))
    recipe = Recipe(
        name=classifier.name,
        thresholds=dict(zip(classifier.labels, classifier.thresholds, strict=True)),
        mode=classifier.mode,
    )
    space = Space(encoder=converter.target, features=classifier.space.features)
    return fit(recipe, tuple(examples), bank, space, now)


def converted_bank(kept: NDArray[np.int8], converter: Converter) -> NDArray[np.int8]:
    """Return the encoder's part of a bank of `other` pictures (n x dimension, as ``other.npy`` holds it) converted.

    For a target that was trained or imported here: no pictures ship that its own could be made from.
    """
    return bank_bytes(converter.convert(unit(kept.astype(np.float32))))


__all__ = [
    "CONVERTERS",
    "ConversionReport",
    "Converter",
    "ConverterCard",
    "converted_bank",
    "converted_classifier",
    "converted_reference",
    "converted_references",
    "converter_path",
    "load_converter",
    "read_card",
    "sign_inputs",
    "views_path",
]
