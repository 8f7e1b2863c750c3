"""What a policy asks of one image, and whether the facts of a verdict say so.

Conditions come in three groups: ``any`` (at least one holds), ``all`` (every one holds) and ``none`` (not one holds).
Where several groups are given they must all be true of the same image.

A verdict may know less than there is to know: an ``error`` other than ``not_an_image``, or ``degraded`` (only hashes
were looked up).  What such a verdict does say is still true, so a match in it counts.  What it does *not* say is
unknown, so nothing is ever concluded from an absence: neither ``none`` nor the label ``other`` holds.  A classifier
that gave no answer (deleted, made with another encoder, or not asked) leaves its conditions open in the same way.

What cannot be undone asks for more: a ``proven`` fact, one that no single matcher could be fooled into.  The encoder's
weights are public, so anybody can compute a picture that it takes for a given reference (Madry et al. 2018), and PDQ
is forged as well (Prokos et al., USENIX Security 2023).  Proven are identical bytes, geometric agreement, and two
matchers that agree.  What *excludes* an image needs no proof, so ``none`` is asked as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from shared.errors import ErrorCode
from shared.types import Matcher, ReferenceMatch, Relation, Verdict

DEFAULT_MIN_SCORE: Final = 85.0
"""The score where one in 10,000 unrelated images would match; the default threshold of a set."""

OTHER: Final = "other"
"""The label of an image that no label of the classifier reaches."""

RelationChoice = Literal["any", "copy", "same_layout"]

PROOF: Final = frozenset({Matcher.BYTES, Matcher.LOCAL})
"""Matchers that each prove a match alone."""


def is_proven(match: ReferenceMatch) -> bool:
    """Tell whether a match rests on identical bytes, on geometric agreement, or on two matchers at least."""
    matchers = frozenset(match.matched_by)
    return bool(matchers & PROOF) or len(matchers) >= 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Why a condition holds: a sentence for the SOC, and the reference where a set was matched."""

    reason: str
    set: str = ""
    reference: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCondition:
    """The image matches a reference of an image set.

    ``min_score`` (0..100) replaces the set's own threshold.  Without ``relation`` the set's own choice stands; with
    it, that relation alone counts, and one that the set itself does not look for needs ``min_score`` or
    DEFAULT_MIN_SCORE, since only the set knows its threshold.
    """

    set: str
    min_score: float | None = None
    relation: RelationChoice | None = None

    def fact(self, verdict: Verdict, *, proven: bool = False) -> Fact | None:
        """Return the best match that counts."""
        counting = [match for match in self.counting(verdict) if is_proven(match) or not proven]
        if not counting:
            return None
        best = max(counting, key=lambda match: match.score)
        what = "copy" if best.relation is Relation.COPY else "same layout"
        return Fact(
            reason=f"set {self.set}: {what} of {best.name or best.reference}, score {best.score:.1f}",
            set=self.set,
            reference=best.reference,
            score=best.score,
        )

    def counting(self, verdict: Verdict) -> list[ReferenceMatch]:
        """Return the matches that make this hold."""
        return [match for match in verdict.matches if match.set == self.set and self._counts(match)]

    def _counts(self, match: ReferenceMatch) -> bool:
        if self.relation in ("copy", "same_layout") and match.relation != self.relation:
            return False
        looked_for = match.matched or match.relation is Relation.COPY
        if self.min_score is not None:
            return match.score >= self.min_score and (looked_for or self.relation is not None)
        return match.matched or (self.relation is not None and not looked_for and match.score >= DEFAULT_MIN_SCORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCondition:
    """A classifier gives the image this label; ``other`` where it says that none of its labels is reached."""

    classifier: str
    label: str

    def fact(self, verdict: Verdict, *, proven: bool = False) -> Fact | None:
        """Return the label and its score; never proven, since a classifier looks through the encoder alone."""
        if proven:
            return None
        if self.label == OTHER and (verdict.degraded or verdict.error is not None):
            return None
        for score in verdict.labels:
            if (score.classifier, score.label) == (self.classifier, self.label):
                if self.label == OTHER:
                    return Fact(reason=f"label {self.classifier}: {OTHER}")
                reason = f"label {self.classifier}: {self.label}, score {score.score:.1f}"
                return Fact(reason=reason, score=score.score)
        return None

    def answered(self, verdict: Verdict) -> bool:
        """Tell whether the classifier said anything; one that was not asked, or could not, did not."""
        return any(score.classifier == self.classifier for score in verdict.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class HashListCondition:
    """The image is on a third-party hash list."""

    list: str

    def fact(self, verdict: Verdict, *, proven: bool = False) -> Fact | None:
        """Return the nearest hit; only SHA-256 proves one: two files of one MD5 are made in seconds."""
        hits = [hit for hit in verdict.hash_hits if hit.list == self.list and (hit.kind == "sha256" or not proven)]
        if not hits:
            return None
        nearest = min(hits, key=lambda hit: hit.distance)
        return Fact(reason=f"hash list {self.list}: {nearest.kind} at distance {nearest.distance}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCondition:
    """Every image that was inspected."""

    def fact(self, verdict: Verdict, *, proven: bool = False) -> Fact | None:
        """Return that it is an image; whoever means every image needs no matcher."""
        return Fact(reason="an image") if verdict.error is None else None


Condition = SetCondition | LabelCondition | HashListCondition | ImageCondition


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConditions:
    """The groups of one policy; at least one of them is not empty."""

    any: tuple[Condition, ...] = ()
    all: tuple[Condition, ...] = ()
    none: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        if not (self.any or self.all or self.none):
            raise ValueError("at least one of any, all and none must hold a condition")

    def fact(self, verdict: Verdict, *, proven: bool = False) -> Fact | None:
        """Return why all the groups hold for this image, or None; with ``proven`` by proven facts alone."""
        if verdict.error is not None and verdict.error.code is ErrorCode.NOT_AN_IMAGE:
            return None
        if self.none and not self._is_none(verdict):
            return None
        either = _facts(self.any, verdict, proven=proven)
        every = _facts(self.all, verdict, proven=proven)
        if (self.any and not either) or len(every) < len(self.all):
            return None
        absent = Fact(reason="an image that satisfies none of the excluded conditions")
        return max([*either, *every] or [absent], key=lambda fact: -1.0 if fact.score is None else fact.score)

    def undecided(self, verdict: Verdict) -> bool:
        """Tell whether a verdict leaves open what these groups ask: a classifier's answer, or absence if degraded."""
        if verdict.error is not None or (verdict.container is not None and verdict.image is None):
            return False  # what a container holds is asked about, picture by picture
        labels = [each for each in (*self.any, *self.all, *self.none) if isinstance(each, LabelCondition)]
        return (verdict.degraded and bool(self.none)) or not all(each.answered(verdict) for each in labels)

    @property
    def classifiers(self) -> frozenset[str]:
        """The classifiers that are asked."""
        conditions = (*self.any, *self.all, *self.none)
        return frozenset(each.classifier for each in conditions if isinstance(each, LabelCondition))

    def _is_none(self, verdict: Verdict) -> bool:
        unanswered = [each for each in self.none if isinstance(each, LabelCondition) and not each.answered(verdict)]
        certain = verdict.error is None and not verdict.degraded and not unanswered
        return certain and not _facts(self.none, verdict)


def _facts(conditions: Sequence[Condition], verdict: Verdict, *, proven: bool = False) -> list[Fact]:
    return [fact for condition in conditions if (fact := condition.fact(verdict, proven=proven)) is not None]
