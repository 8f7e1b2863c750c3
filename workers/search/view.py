"""What one search sees: sets, a base segment, what came since, and what of the base is gone.  Immutable.

A replica publishes a new view for every change and swaps one reference, so a search never meets half a change, and
the revision it reports is that of the references it looked at.

A search has two steps.  The first costs a millisecond: bytes, hash, embedding, signs of views.  The second looks at
local features: it searches them where a set is thorough or something came near in the first step, verifies the
likeliest references geometrically, and lets what it finds, or misses, decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final

import numpy as np

from shared.core.matching import MIN_PDQ_QUALITY, Calibration, Floats, SetFacts
from shared.types import Reference, ReferenceMatch
from workers.closer_look.block_sketch import read_sketch
from workers.closer_look.evidence import SURELY_COPY, Finding, Sight, compare_inside, place
from workers.encoders.embeddings import Vectors
from workers.search.live_segment import Hit, LiveSegment, Probe, first_scores, floor_of
from workers.search.scoring import score_hits
from workers.search.segment import Numbers

MATCHES_PER_SET: Final = 5
SMALL_SET: Final = 1_000
"""References up to which a set is searched closely without being asked: a look of 46 ms instead of 11."""
SAME_PICTURE_BITS: Final = 31
"""PDQ distance up to which two pictures that are no pages are the same: no false pair among 8,280 queries, while
clipped highlights or a strong contrast make one photograph in six look like other content, block by block."""
DETAIL_ALL_OVER: Final = 0.9
"""Of a reference's blocks: with as many that show something it is a picture, however white its copy was made.  Of 202
photographs 70 % have as many, of 212 pages, forms, charts, cards and screenshots 8 %."""
HINT_SCORE: Final = 60.0
"""From this score on, which one in eleven unrelated images reaches by chance, local features are looked at."""
LOOK_AT_NEAREST: Final = 4
LOOK_AT_NEAREST_OF_A_PAGE: Final = 16
LOOK_AT_VOTED: Final = 8
"""References that are looked for in one image, at 0.5 ms each: the nearest of the first step, and those that local
features vote for; to the encoder a mostly white page is like many others."""
COMPARE_INSIDE: Final = 3
"""Of the references that were found in it, how many are compared inside: 3 ms for a copy, 20 for another content."""
EXPLAINED: Final = 0.6
"""Of the image's area: where a copy takes as much, nothing else is looked for in it; of a collage of two, half is."""

_order: Final = attrgetter("order")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexView:
    """The index at one revision."""

    revision: str
    sets: Mapping[str, SetFacts]
    segments: tuple[LiveSegment, ...]
    calibration: Calibration

    @property
    def size(self) -> int:
        """How many references a search goes through, those included that are gone and not yet built out."""
        return sum(len(live.alive) for live in self.segments)

    def references(self, set_name: str) -> tuple[Reference, ...]:
        """Return a set's searchable references."""
        return tuple(
            live.segment.references[number]
            for live in self.segments
            for number in live.segment.references.rows_of(set_name, live.alive).tolist()
        )

    def probe(
        self,
        sha256: str,
        vector: Vectors | None,
        pdq: tuple[str, ...] = (),
        *,
        pdq_quality: int = 100,
        low_information: bool = False,
        sight: Sight | None = None,
    ) -> Probe:
        """Return an image as it is searched for.

        ``vector``: float32, L2 = 1, None where there is none; ``pdq``: the eight dihedral variants, empty for none.  A
        hash of a quality under 50 does not count, and a low-information image counts by its bytes only.
        """
        if low_information:
            return Probe(sha256=sha256)
        usable = pdq if pdq_quality >= MIN_PDQ_QUALITY else ()
        if vector is None or not vector.any() or not np.isfinite(vector).all():
            return Probe(sha256=sha256, pdq=usable, sight=sight)
        discount = self.calibration.discount(vector)
        return Probe(sha256=sha256, vector=vector, pdq=usable, discount=discount, sight=sight)

    def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
        """Return, per image, the best references of every set, best first.

        Raises ValueError for vectors of another dimension.  The first step takes 1 ms for 10,000 references on one
        core, the second about 20 ms: call it in a thread.
        """
        rows = [live.rows(probes) for live in self.segments]
        return [self._answer(probe, [of_live[place] for of_live in rows]) for place, probe in enumerate(probes)]

    def _answer(self, probe: Probe, rows: Sequence[Numbers]) -> tuple[ReferenceMatch, ...]:
        hits = [
            hit for live, over_floor in zip(self.segments, rows, strict=True) for hit in live.near(probe, over_floor)
        ]
        if probe.sight is not None:
            scores = first_scores(self.calibration, hits)
            if self._wanted(scores, probe.sight) and probe.sight.in_time():
                hits = self._look_closer(probe, probe.sight, hits, scores)
        return self._best(hits, probe.sight)

    def _wanted(self, scores: Floats, sight: Sight) -> bool:
        """Tell whether local features are to be looked at: a set asks for it, something came near, or a set is small.

        Where only the latter speaks for it, and there is no time, the look is cut short.
        """
        if looks_at_all(self.sets, spare=sight.spare):
            return True
        if len(scores) and float(scores.max()) >= HINT_SCORE:
            return True
        sight.cut_short |= looks_at_all(self.sets, spare=True)
        return False

    def _look_closer(self, probe: Probe, sight: Sight, hits: list[Hit], scores: Floats) -> list[Hit]:
        """Return the hits with what a look at the likeliest of them gave, and what only local features found."""
        look = _Look(sight)
        nearest = LOOK_AT_NEAREST_OF_A_PAGE if sight.paper else LOOK_AT_NEAREST
        look.at([hits[number] for number in np.argsort(-scores, kind="stable")[:nearest]])
        voted = []
        if not look.explains_the_image():
            voted = self._voted(probe, sight)
            look.at(voted)
        near = {(hit.reference.set, hit.reference.reference) for hit in hits}
        found = [
            hit
            for hit in voted
            if (hit.reference.set, hit.reference.reference) not in near
            and (finding := look.findings.get(hit.reference.sha256)) is not None
            and finding.geometry is not None
        ]
        return [_settled(hit, look.findings.get(hit.reference.sha256), sight) for hit in (*hits, *found)]

    def _voted(self, probe: Probe, sight: Sight) -> list[Hit]:
        """Return the references that most of the image's local features speak for, the likeliest first."""
        votes = [
            (count, place, number)
            for place, live in enumerate(self.segments)
            for number, count in live.voted(sight, LOOK_AT_VOTED)
        ]
        votes.sort(key=lambda vote: -vote[0])
        del votes[LOOK_AT_VOTED:]
        hits = [
            live.hits([number for _, at, number in votes if at == place], probe)
            for place, live in enumerate(self.segments)
        ]
        return [hits[place][number] for _, place, number in votes if number in hits[place]]

    def _best(self, hits: list[Hit], sight: Sight | None) -> tuple[ReferenceMatch, ...]:
        taken: Counter[str] = Counter()
        best: list[ReferenceMatch] = []
        scored = score_hits(self.calibration, hits, sight)
        for found in sorted((each for each in scored if each.score >= floor_of(each.hit.facts)), key=_order):
            name = found.hit.facts.name
            if taken[name] < MATCHES_PER_SET:
                taken[name] += 1
                best.append(found.match)
        return tuple(best)


def looks_at_all(sets: Mapping[str, SetFacts], *, spare: bool) -> bool:
    """Tell whether every image is looked at closely, whatever it resembles; ``spare``: there is time that no set asks.

    For small sets a worker looks while it keeps up: without a hint one crop to a quarter in two is missed.
    """
    return any(
        facts.size and (facts.thorough or (spare and facts.thorough is None and facts.size <= SMALL_SET))
        for facts in sets.values()
    )


class _Look:
    """The closer look at one image: what was found of the references that were looked for, by their SHA-256."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._compared: set[str] = set()
        self.findings: dict[str, Finding] = {}

    def at(self, hits: Sequence[Hit]) -> None:
        """Look for these references, and compare what is inside the strongest of all that were found so far."""
        sketches: dict[str, bytes] = {}
        for hit in hits:
            digest = hit.reference.sha256
            # The same picture may be in several sets.
            if digest not in self.findings and hit.reference.local and self._sight.in_time():
                self.findings[digest] = place(self._sight, hit.reference.local)
                sketches[digest] = hit.reference.sketch
        for digest in sorted(sketches, key=lambda digest: -self.findings[digest].strength):
            if len(self._compared) >= COMPARE_INSIDE or not self._sight.in_time():
                return
            if self.findings[digest].geometry is not None:
                self._compared.add(digest)
                self.findings[digest] = compare_inside(self._sight, sketches[digest], self.findings[digest])

    def explains_the_image(self) -> bool:
        """Tell whether one copy takes up nearly all of the image."""
        width, height = self._sight.plane_size
        for finding in self.findings.values():
            if finding.geometry is not None and finding.copy >= SURELY_COPY:
                left, top, right, bottom = finding.geometry.image_region
                if (right - left) * (bottom - top) >= EXPLAINED * width * height:
                    return True
        return False


def _settled(hit: Hit, finding: Finding | None, sight: Sight) -> Hit:
    """Return the hit with its finding; a picture that is no page and has the reference's hash is a copy of it."""
    if finding is not None and hit.distance <= SAME_PICTURE_BITS and _is_picture(hit, sight):
        finding = replace(finding, copy=max(finding.copy, SURELY_COPY))
    return replace(hit, finding=finding)


def _is_picture(hit: Hit, sight: Sight) -> bool:
    sketch = hit.reference.sketch
    return not sight.paper or (bool(sketch) and float(read_sketch(sketch).inked.mean()) >= DETAIL_ALL_OVER)
