"""A classifier as it is kept: one revision, whole, with the examples it was made from.

So a label is added, an image re-labelled or a head fitted anew without the old images.  The bytes are a JSON head,
length-prefixed, and two arrays: the examples' rows in half precision and the fitted head in single.  No pickle; what
they hold is sealed with the deployment's key where they are stored.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from shared.core.policy_conditions import OTHER
from shared.errors import IntegrityError
from workers.classifying.calibration import LabelCalibration
from workers.classifying.dense_features import Floats
from workers.classifying.head import Head
from workers.classifying.rates import Confusion, LabelRates, Rate, Rates
from workers.classifying.vectors import Space
from workers.intervals import Interval

FORMAT: Final = 1
_LENGTH: Final = struct.Struct("<I")

Mode = Literal["best", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A picture that was shown for a label (`OTHER`: a negative); ``row`` is its vector, weighed, in half precision."""

    sha256: str
    name: str
    label: str
    pdq: str
    row: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """One revision of a classifier.

    ``thresholds`` are scores, one a label of ``labels``, in their order; ``mode`` says whether a picture is given its
    best label or all that are reached; ``rates`` are held out; ``created`` in seconds since 1970.
    """

    name: str
    space: Space
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    mode: Mode
    examples: tuple[Example, ...]
    head: Head
    calibration: LabelCalibration
    rates: Rates
    created: float

    def scores(self, rows: Floats) -> NDArray[np.float64]:
        """Return n x labels scores, 0..100, of n x length rows of this classifier's space."""
        return self.calibration.score(self.head.margins(rows))


def rows_of(examples: tuple[Example, ...]) -> Floats:
    """Return n x length float32."""
    return np.stack([np.frombuffer(example.row, np.float16) for example in examples]).astype(np.float32)


def pack(classifier: Classifier) -> bytes:
    """Return a classifier's bytes."""
    facts = [[one.sha256, one.name, one.label, one.pdq] for one in classifier.examples]
    head = {
        "format": FORMAT,
        "name": classifier.name,
        "space": [classifier.space.encoder, classifier.space.features],
        "labels": classifier.labels,
        "thresholds": classifier.thresholds,
        "mode": classifier.mode,
        "examples": facts,
        "calibration": asdict(classifier.calibration),
        "rates": asdict(classifier.rates),
        "created": classifier.created,
        "length": len(classifier.head.weights),
    }
    text = json.dumps(head).encode()
    rows = b"".join(example.row for example in classifier.examples)
    fitted = np.vstack([classifier.head.weights, classifier.head.bias[None]]).astype("<f4").tobytes()
    return _LENGTH.pack(len(text)) + text + rows + fitted


def unpack(data: bytes) -> Classifier:
    """Return the classifier; raises IntegrityError for other bytes and another format."""
    try:
        (size,) = _LENGTH.unpack_from(data)
        start = _LENGTH.size + size
        head = json.loads(data[_LENGTH.size : start])
        if head["format"] != FORMAT:
            raise IntegrityError(f"a classifier in format {head['format']}, this version reads {FORMAT}")
        return _classifier(head, data[start:])
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"a stored classifier cannot be read: {error!r}") from error


def _classifier(head: Mapping[str, Any], body: bytes) -> Classifier:
    length, facts, labels = int(head["length"]), head["examples"], tuple(head["labels"])
    width, end = 2 * length, 2 * length * len(facts)
    fitted = np.frombuffer(body[end:], "<f4").reshape(length + 1, len(labels) + 1)
    examples = (
        Example(sha256=sha256, name=name, label=label, pdq=pdq, row=body[number * width : (number + 1) * width])
        for number, (sha256, name, label, pdq) in enumerate(facts)
    )
    encoder, features = head["space"]
    return Classifier(
        name=head["name"],
        space=Space(encoder=encoder, features=features),
        labels=labels,
        thresholds=tuple(head["thresholds"]),
        mode=head["mode"],
        examples=tuple(examples),
        head=Head(weights=fitted[:-1], bias=fitted[-1]),
        calibration=LabelCalibration(**{key: _frozen(value) for key, value in head["calibration"].items()}),
        rates=_rates(head["rates"]),
        created=float(head["created"]),
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _rates(values: Mapping[str, Any]) -> Rates:
    return Rates(
        labels=tuple(
            LabelRates(
                **label
                | {"true_positives": _rate(label["true_positives"]), "false_positives": _rate(label["false_positives"])}
            )
            for label in values["labels"]
        ),
        false_positives=_rate(values["false_positives"]),
        strangers=_rate(values["strangers"]),
        confusions=tuple(Confusion(**one) for one in values["confusions"]),
        true_curve=tuple(values["true_curve"]),
        false_curve=tuple(values["false_curve"]),
    )


def _rate(values: Mapping[str, Any]) -> Rate:
    return Rate(count=values["count"], tried=values["tried"], interval=Interval(**values["interval"]))


__all__ = ["OTHER", "Classifier", "Example", "Mode", "pack", "rows_of", "unpack"]
