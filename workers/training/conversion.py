"""From two encoders and some pictures to a converter of each direction: train, bring scores in line, measure, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.matching import Calibration
from workers.classifying.bank import bank_path, load_bank
from workers.classifying.builtin import builtin_classifiers, builtin_path
from workers.classifying.model import pack
from workers.classifying.vectors import shipped_features
from workers.encoders.encoder import Encoder
from workers.encoders.files import EncoderCard, Precision
from workers.migration.conversion import (
    ConversionReport,
    Converter,
    ConverterCard,
    converted_bank,
    converted_classifier,
    load_converter,
)
from workers.training.conversion_figures import (
    Enrolled,
    Measured,
    agreement,
    false_share,
    fit_flips,
    fit_scale,
    measure,
    native,
    queries_of,
    strangers,
    unrelated,
)
from workers.training.conversion_pictures import Report, Seen, held_out_items, look, training_items
from workers.training.converter import ConverterNetwork, Recipe, signs_of, train_network, write_converter

PICTURES: Final = 1200
"""To train on; a quarter as many are measured on.  .1 s of a core each, drawings and archives included."""
HELD_OUT_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """An encoder at one end of a converter: one precision of a version, and that file, loaded."""

    card: EncoderCard
    precision: Precision
    encoder: Encoder

    @classmethod
    def load(cls, card: EncoderCard, precision: Precision) -> End:
        """Load the file whose calibration it has: one of the same vectors, where it shares one.

        Raises EncoderUnavailableError.
        """
        own = card.files[precision].calibrated_as
        encoder = Encoder.load(card.id, precision=own, models=card.folder.parent)
        return cls(card=card, precision=precision, encoder=encoder)

    @property
    def index_id(self) -> str:
        """The index version."""
        return self.card.files[self.precision].index_id

    @property
    def sha256(self) -> str:
        """Of the model file."""
        return self.card.files[self.precision].sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A converter that was written to ``path``, and lines of scores with converted references over native ones."""

    path: Path
    converter: Converter
    agreement: Mapping[str, tuple[tuple[float, float], ...]]


def see_pictures(
    source: End, target: End, data: Path | None, images: Path | None, pictures: int, seed: int, report: Report
) -> tuple[Seen, Seen]:
    """Return what both encoders see of `pictures` to train on, and of a quarter as many to measure on.

    Raises FileNotFoundError where a folder holds nothing.
    """
    held_out = max(2, round(pictures * HELD_OUT_SHARE))
    ends = source.encoder, target.encoder
    trained = look(training_items(data, images, pictures), *ends, every_view=False, seed=seed, report=report)
    return trained, look(held_out_items(data, images, held_out), *ends, every_view=True, seed=seed, report=report)


def make_converter(folder: Path, source: End, target: End, trained: Seen, unseen: Seen, recipe: Recipe) -> Trained:
    """Train a converter on `trained`, measure it on `unseen` and write it to `folder`.

    Half of the unseen pictures bring the scores in line, the others are measured.  The views' signs are converted where
    more copies are found with them than without.  Raises ValueError where a file does not compute what was trained.
    """
    vectors, views = _train(trained, recipe)
    half = len(unseen.source) // 2
    calibration = target.encoder.calibration
    scale = _bring_in_line(vectors, views, unseen.part(slice(None, half)), trained, calibration)
    rest = unseen.part(slice(half, None))
    queries = queries_of(rest)
    plain = Enrolled(whole=vectors.convert(rest.source[:, 0]) * np.float32(scale), codes=None)
    without = measure(plain, queries, calibration)
    codes = _codes(views, rest)
    found = measure(replace(plain, codes=codes), queries, calibration)
    helps = found.found > without.found
    figures = _Figures(
        found=found if helps else without,
        expected=measure(native(rest), queries, calibration),
        old=measure(native(rest.swapped()), queries_of(rest.swapped()), source.encoder.calibration),
    )
    cosine = float(np.vecdot(plain.whole, rest.target[:, 0]).mean()) / scale
    agreeing = float((codes == (rest.target[:, 1 : 1 + rest.views] > 0)).mean())
    card = ConverterCard(
        source=source.index_id,
        target=target.index_id,
        encoders=(source.sha256, target.sha256),
        sha256="",
        views="",
        scale=scale,
        report=figures.report(rest, len(trained.source), cosine, agreeing if helps else None),
    )
    path = write_converter(folder, card, vectors, views if helps else None)
    converter = load_converter(folder, source.index_id, target.index_id)
    return Trained(path=path, converter=converter, agreement=agreement(figures.found, figures.expected))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """Searches among converted references, among native ones, and among the source's by its own queries."""

    found: Measured
    expected: Measured
    old: Measured

    def report(self, seen: Seen, trained_on: int, cosine: float, bits: float | None) -> ConversionReport:
        pairs = unrelated(seen)
        return ConversionReport(
            trained_on=trained_on,
            held_out=len(seen.source),
            queries=len(self.found.own),
            native=round(self.expected.at_rank_1, 4),
            converted=round(self.found.at_rank_1, 4),
            old=round(self.old.at_rank_1, 4),
            found_native=round(self.expected.found, 4),
            found_converted=round(self.found.found, 4),
            found_old=round(self.old.found, 4),
            false_native=float(f"{false_share(self.expected, pairs):.3g}"),
            false_converted=float(f"{false_share(self.found, pairs):.3g}"),
            cosine=round(cosine, 4),
            bits=None if bits is None else round(bits, 4),
        )


def _train(trained: Seen, recipe: Recipe) -> tuple[ConverterNetwork, ConverterNetwork]:
    """Return the converter of vectors and that of views' signs."""
    source = trained.source.reshape(-1, trained.source.shape[2])
    target = trained.target.reshape(-1, trained.target.shape[2])
    return train_network(source, target, recipe), train_network(signs_of(source), target, recipe)


def _bring_in_line(
    vectors: ConverterNetwork, views: ConverterNetwork, seen: Seen, trained: Seen, calibration: Calibration
) -> float:
    """Turn what bits of the views must be turned; return the vectors' scale."""
    others = strangers(seen, trained)
    views.turn(fit_flips(_codes(views, seen), seen, others))
    return fit_scale(vectors.convert(seen.source[:, 0]), seen.target[:, 0], others, calibration)


def _codes(views: ConverterNetwork, seen: Seen) -> NDArray[np.bool_]:
    """P x views x E: the converted signs of the views."""
    kept = seen.source[:, 1 : 1 + seen.views]
    converted = views.convert(signs_of(kept.reshape(-1, kept.shape[2])))
    return np.asarray(converted.reshape(*kept.shape[:2], -1) > 0)


def complete_classifiers(converter: Converter, source: End, target: End) -> list[Path]:
    """Give the target the classifiers that ship for the source, converted, where it has none; returns the files.

    None where it has no bank of other pictures to fit them with.  Takes seconds for each.
    """
    known = builtin_classifiers(source.card, source.precision)
    if builtin_classifiers(target.card, target.precision) or not bank_path(target.card, target.precision).exists():
        return []
    bank = load_bank(bank_path(target.card, target.precision), shipped_features())
    written = []
    for name, classifier in known.items():
        path = builtin_path(target.card, target.precision, name)
        path.parent.mkdir(exist_ok=True)
        moved = converted_classifier(classifier, converter, bank, classifier.created)
        path.write_bytes(pack(moved))
        written.append(path)
    return written


def complete_bank(converter: Converter, source: End, target: End) -> Path | None:
    """Give the target the source's bank of `other` pictures, converted, where it has none; returns the file written.

    None where it has one, or the source has none either: then classifiers cannot be had with the target.
    """
    kept, path = bank_path(source.card, source.precision), bank_path(target.card, target.precision)
    if path.exists() or not kept.exists():
        return None
    np.save(path, converted_bank(np.load(kept, allow_pickle=False), converter))
    return path


__all__ = [
    "PICTURES",
    "End",
    "Trained",
    "complete_bank",
    "complete_classifiers",
    "make_converter",
    "see_pictures",
]
