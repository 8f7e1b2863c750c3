"""A data set of images with several labels each: JSON lines, ``{"image": PATH, "labels": [NAME, …]}``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from shared.errors import UsageError
from workers.labels.space import MAX_LABELS, Presence

MAX_LINE: Final = 1 << 20
LABEL_LIMIT: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """An image file and its labels."""

    image: Path
    labels: frozenset[str]


def read_manifest(file: Path) -> tuple[Labelled, ...]:
    """Return the data set; paths are relative to the file.  Raises UsageError naming the line that is wrong."""
    try:
        with file.open(encoding="utf-8") as lines:
            found = tuple(_labelled(line, f"{file.name}:{number}", file.parent) for number, line in enumerate(lines, 1))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error
    if not found:
        raise UsageError(f"{file} lists no image")
    return found


def _labelled(line: str, place: str, folder: Path) -> Labelled:
    try:
        if len(line) > MAX_LINE:
            raise ValueError("the line is too long")
        entry = json.loads(line)
        image, labels = entry["image"], entry["labels"]
        if not isinstance(image, str) or not isinstance(labels, list):
            raise TypeError("image is a path, labels a list of names")
        if not all(isinstance(label, str) and 0 < len(label) <= LABEL_LIMIT for label in labels):
            raise ValueError(f"a label is a name of 1 to {LABEL_LIMIT} characters")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f'{place}: not {{"image": PATH, "labels": [NAME, …]}}: {error}') from error
    return Labelled(image=folder / image, labels=frozenset(labels))


def vocabulary(labelled: Iterable[frozenset[str]], least: int) -> tuple[str, ...]:
    """Return the labels that at least ``least`` images have, the most frequent first.

    Raises UsageError where there are fewer than two of them, or too many to decompose.
    """
    counts = Counter(label for labels in labelled for label in labels)
    names = tuple(sorted((name for name, count in counts.items() if count >= least), key=lambda n: (-counts[n], n)))
    if len(names) < 2:
        raise UsageError(f"{len(names)} labels are on {least} images or more: a label space needs two")
    if len(names) > MAX_LABELS:
        raise UsageError(f"{len(names)} labels, over {MAX_LABELS}: leave out the rare ones")
    return names


def presence_of(labelled: Sequence[frozenset[str]], names: Sequence[str]) -> Presence:
    """Return N x L: which image has which of the named labels; others do not count."""
    place = {name: number for number, name in enumerate(names)}
    presence = np.zeros((len(labelled), len(names)), np.bool_)
    for row, labels in enumerate(labelled):
        presence[row, [place[label] for label in labels if label in place]] = True
    return presence
