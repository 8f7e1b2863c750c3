"""A known verdict brought up to date with an index that has changed, without the image.

Every score depends on its set's size, so there is no change that leaves all scores as they are.  But what an image was
searched by is kept, and searching again costs a millisecond where decoding and encoding cost ten: additions, removals,
new thresholds and deleted sets all end up in the verdict as if the image had been inspected now.  Where local features
are looked at, those that were kept are, in 8 ms; only where they find something, or none were kept, the picture itself
is needed and inspected again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.core.matching import SetFacts
from shared.types import DecodedFrame, FrameTrace, KnownVerdict, Verdict
from workers.closer_look.evidence import PictureNeededError
from workers.closer_look.kept_look import KeptSight
from workers.image_sets.collisions import Neighbours
from workers.search.frame_matches import best_over_frames
from workers.search.live_segment import Probe
from workers.search.view import HINT_SCORE, looks_at_all

TRACED_FRAMES: Final = 8
"""A file of more frames is inspected again: 3 KB each are kept."""


class Refreshes(Neighbours, Protocol):
    """The index at one revision, such as an IndexView."""

    @property
    def revision(self) -> str:
        """Names the state that is searched."""
        ...

    @property
    def sets(self) -> Mapping[str, SetFacts]:
        """The image sets by name."""
        ...


def traces_of(
    frames: Sequence[DecodedFrame], vectors: Sequence[NDArray[np.float32] | None], looks: Sequence[bytes]
) -> tuple[FrameTrace, ...]:
    """Return what is kept of the frames; nothing where they are too many."""
    if len(frames) > TRACED_FRAMES:
        return ()
    return tuple(
        FrameTrace(
            index=frame.index,
            vector=b"" if vector is None else vector.astype("<f4").tobytes(),
            pdq=frame.pdq,
            pdq_quality=frame.pdq_quality,
            low_information=frame.low_information,
            look=look,
        )
        for frame, vector, look in zip(frames, vectors, looks, strict=True)
    )


def refreshed(known: KnownVerdict, view: Refreshes) -> KnownVerdict | None:
    """Return the verdict that an inspection now would give, or None where it takes one; blocks for a search."""
    if known.verdict.container is not None:
        return None
    if known.verdict.error is not None:  # the image's own, whatever the index
        return replace(known, verdict=replace(known.verdict, index_revision=view.revision))
    seen = all(trace.look or trace.low_information for trace in known.traces)
    if not known.traces or (not seen and _looks_at_everything(known.traces, view.sets)):
        return None
    try:
        found = view.search([_probe(known.verdict, trace, view, seen=seen) for trace in known.traces])
    except PictureNeededError:
        return None
    if not seen and any(match.score >= HINT_SCORE for matches in found for match in matches):
        return None
    matches = best_over_frames([trace.index for trace in known.traces], found)
    return replace(known, verdict=replace(known.verdict, matches=matches, index_revision=view.revision))


def _looks_at_everything(traces: Sequence[FrameTrace], sets: Mapping[str, SetFacts]) -> bool:
    return looks_at_all(sets, spare=True) and not all(trace.low_information for trace in traces)


def without_looks(known: KnownVerdict) -> KnownVerdict:
    """Return it without what would be kept in this worker's memory alone."""
    return replace(known, traces=tuple(replace(trace, look=b"") for trace in known.traces))


def _probe(verdict: Verdict, trace: FrameTrace, view: Refreshes, *, seen: bool) -> Probe:
    vector = np.frombuffer(trace.vector, "<f4").astype(np.float32) if trace.vector else None
    return view.probe(
        verdict.sha256,
        vector,
        trace.pdq,
        pdq_quality=trace.pdq_quality,
        low_information=trace.low_information,
        sight=KeptSight(trace.look) if seen and trace.look else None,
    )
