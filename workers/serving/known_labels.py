"""The labels in a verdict that is known: whose they are, and whether those classifiers would say the same now.  Pure.

Labels depend on the pixels and on the classifier's revision alone, so a change of the index leaves them as they are,
and a new revision of one classifier leaves those of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from shared.types import KnownVerdict, Verdict


class Revisions(Protocol):
    """The classifiers at one position of their log, such as Labellers."""

    @property
    def position(self) -> int:
        """The position."""
        ...

    @property
    def revisions(self) -> Mapping[str, int]:
        """The revision in force of each classifier; none of one that is not there."""
        ...


def told(known: KnownVerdict, names: Sequence[str], current: Revisions) -> Verdict | None:
    """Return the verdict with the labels of the named classifiers alone; None where one would have to be asked."""
    if not names:
        return _with_labels(known.verdict, (), 0)
    asked = dict(known.classifiers)
    stands = all(asked.get(name) == current.revisions.get(name, 0) for name in names)
    if not stands and any(image.image is not None for image in (known.verdict, *known.verdict.images)):
        return None
    return _with_labels(known.verdict, names, current.position)


def keeping(found: KnownVerdict, older: KnownVerdict | None) -> KnownVerdict:
    """Return what was found out of a picture, with the labels of the classifiers that it was not shown to again."""
    if older is None or found.verdict.container is not None or found.verdict.image is None:
        return found
    shown = dict(found.classifiers)
    others = {name: revision for name, revision in older.classifiers if name not in shown}
    labels = tuple(label for label in older.verdict.labels if label.classifier in others)
    verdict = replace(found.verdict, labels=found.verdict.labels + labels) if labels else found.verdict
    return replace(found, verdict=verdict, classifiers=(*found.classifiers, *others.items()))


def shown_alike(images: Iterable[KnownVerdict]) -> tuple[tuple[str, int], ...]:
    """Return the revisions of classifiers that every picture was shown to; of those that could be read."""
    shown = [set(known.classifiers) for known in images if known.verdict.image is not None]
    return tuple(sorted(set.intersection(*shown))) if shown else ()


def _with_labels(verdict: Verdict, names: Sequence[str], position: int) -> Verdict:
    labels = tuple(label for name in names for label in verdict.labels if label.classifier == name)
    images = tuple(_with_labels(image, names, position) for image in verdict.images)
    if labels == verdict.labels and images == verdict.images and position == verdict.classifier_revision:
        return verdict
    return replace(verdict, labels=labels, images=images, classifier_revision=position)
