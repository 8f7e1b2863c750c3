"""What two encoders say of the same images: counted per set, summed over workers.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.types import ReferenceMatch, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTally:
    """Of one set: images that match by both encoders, by one alone, or near it by one but matching by neither.

    ``difference`` is the sum of the absolute differences between the two scores (0..100), ``largest`` the largest.
    """

    both: int = 0
    old_only: int = 0
    new_only: int = 0
    neither: int = 0
    difference: float = 0.0
    largest: float = 0.0

    @property
    def compared(self) -> int:
        """Images whose scores in this set were compared."""
        return self.both + self.old_only + self.new_only + self.neither


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """``images`` were judged by both encoders; of ``agreeing`` the same sets match.  ``sets`` by name."""

    images: int = 0
    agreeing: int = 0
    sets: Mapping[str, SetTally] = field(default_factory=dict)

    @property
    def agreement(self) -> float:
        """The share of images of which the same sets match; 1 for none."""
        return self.agreeing / self.images if self.images else 1.0

    def __add__(self, other: Tally) -> Tally:
        names = {*self.sets, *other.sets}
        sets = {name: _sum(self.sets.get(name, SetTally()), other.sets.get(name, SetTally())) for name in names}
        return Tally(images=self.images + other.images, agreeing=self.agreeing + other.agreeing, sets=sets)


def compare(old: Verdict, new: Verdict) -> Tally:
    """Return the tally of one image, or of one container with all that is in it."""
    before, after = _best(old), _best(new)
    sets = {name: _one(before.get(name), after.get(name)) for name in sorted({*before, *after})}
    agrees = all(each.old_only == each.new_only == 0 for each in sets.values())
    return Tally(images=1, agreeing=int(agrees), sets=sets)


def tally_from(values: Mapping[str, Any]) -> Tally:
    """Return the tally whose ``dataclasses.asdict`` this is; raises ValueError, KeyError or TypeError."""
    return Tally(
        images=int(values["images"]),
        agreeing=int(values["agreeing"]),
        sets={str(name): SetTally(**each) for name, each in values["sets"].items()},
    )


def summed(tallies: Iterable[Tally]) -> Tally:
    """Return the tally of all."""
    return sum(tallies, Tally())


def _best(verdict: Verdict) -> dict[str, ReferenceMatch]:
    """Return the best match of each set."""
    found: dict[str, ReferenceMatch] = {}
    for match in _matches(verdict):
        held = found.get(match.set)
        if held is None or (match.matched, match.score) > (held.matched, held.score):
            found[match.set] = match
    return found


def _matches(verdict: Verdict) -> Iterator[ReferenceMatch]:
    yield from verdict.matches
    for image in verdict.images:
        yield from _matches(image)


def _one(old: ReferenceMatch | None, new: ReferenceMatch | None) -> SetTally:
    was, is_now = old is not None and old.matched, new is not None and new.matched
    apart = abs((old.score if old else 0.0) - (new.score if new else 0.0))
    tally = SetTally(difference=apart, largest=apart)
    if was and is_now:
        return replace(tally, both=1)
    if was:
        return replace(tally, old_only=1)
    return replace(tally, new_only=1) if is_now else replace(tally, neither=1)


def _sum(one: SetTally, other: SetTally) -> SetTally:
    return SetTally(
        both=one.both + other.both,
        old_only=one.old_only + other.old_only,
        new_only=one.new_only + other.new_only,
        neither=one.neither + other.neither,
        difference=one.difference + other.difference,
        largest=max(one.largest, other.largest),
    )


__all__ = ["SetTally", "Tally", "compare", "summed", "tally_from"]
