"""The matches of a file of several pictures, and what is not protected of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from shared.types import ImageInfo, ReferenceMatch
from workers.search.view import MATCHES_PER_SET


def best_over_frames(indices: Sequence[int], found: Sequence[Sequence[ReferenceMatch]]) -> tuple[ReferenceMatch, ...]:
    """Return one match a reference of each set, best first, at most `MATCHES_PER_SET` a set.

    ``found`` are the matches, best first, of the frames with these ``indices``.  A match that counts wins over one
    that does not, then the higher score, then the earlier frame; that frame's index is the match's ``frame``.
    """
    if len(found) == 1:
        (index,) = indices
        return tuple(found[0]) if index == 0 else tuple(replace(match, frame=index) for match in found[0])
    best: dict[tuple[str, str], ReferenceMatch] = {}
    for index, matches in zip(indices, found, strict=True):
        for match in matches:
            place = (match.set, match.reference)
            if place not in best or _strength(match) > _strength(best[place]):
                best[place] = replace(match, frame=index)
    taken: Counter[str] = Counter()
    kept: list[ReferenceMatch] = []
    for match in sorted(best.values(), key=_order):
        taken[match.set] += 1
        if taken[match.set] <= MATCHES_PER_SET:
            kept.append(match)
    return tuple(kept)


def unprotected(info: ImageInfo) -> tuple[str, ...]:
    """Return the warning that a reference is one of several pictures in its file; none for a single one."""
    if info.frames == 1:
        return ()
    return (f"frames: one of {info.frames} frames is protected, the first that shows something: add others as files",)


def _strength(match: ReferenceMatch) -> tuple[bool, float, float]:
    return match.matched, match.score, match.raw_score


def _order(match: ReferenceMatch) -> tuple[float, float, str, str]:
    return -match.score, -match.raw_score, match.set, match.reference
