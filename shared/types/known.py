"""A verdict that is kept, with what it takes to bring it up to date."""

from __future__ import annotations

from dataclasses import dataclass

from shared.types.facts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTrace:
    """What one frame was searched by; fields as in DecodedFrame.

    ``vector`` is its embedding, float32 in little-endian bytes, L2 = 1; empty where it shows nothing.  ``look`` is what
    local features saw of it, as packed by the worker that keeps it; empty where nobody looked.
    """

    index: int
    vector: bytes
    pdq: tuple[str, ...]
    pdq_quality: int
    low_information: bool
    look: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVerdict:
    """``traces``: of every frame, none where they are too many.

    ``classifiers``: to which the image was shown, each with the revision in force then, 0 where there was none; the
    verdict has the labels of all of them.
    """

    verdict: Verdict
    traces: tuple[FrameTrace, ...] = ()
    classifiers: tuple[tuple[str, int], ...] = ()
