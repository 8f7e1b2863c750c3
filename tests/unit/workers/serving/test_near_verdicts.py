"""What was said of a picture that looks the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.types import DecodedImage, NearVerdict, ReferenceMatch, Verdict
from tests.factories import make_frame, make_image_info, make_match, make_verdict
from workers.search.live_segment import Probe
from workers.serving.near_verdicts import MAX_DISTANCE, NearVerdicts

FIRST, SECOND = "1" * 64, "2" * 64


class View:
    """At a revision; protects some files by their bytes."""

    def __init__(self, revision: str = "e1:1", *protected: str) -> None:
        self.revision = revision
        self._protected = protected

    def probe(self, sha256: str, vector: None) -> Probe:
        return Probe(sha256=sha256, vector=vector)

    def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
        return [(make_match(),) if probe.sha256 in self._protected else () for probe in probes]


def image(flipped: int = 0, *, quality: int = 90, frames: int = 1, low_information: bool = False) -> DecodedImage:
    """A picture whose hash differs in so many bits."""
    pdq = f"{int('a' * 64, 16) ^ ((1 << flipped) - 1):064x}"
    frame = make_frame(pdq=(pdq,) * 8, pdq_quality=quality, low_information=low_information)
    return DecodedImage(info=make_image_info(frames=frames, width=640), side=2, frames=(frame,))


def verdict(**changes: object) -> Verdict:
    return make_verdict(**{"sha256": FIRST, "index_revision": "e1:1", "matches": (make_match(),), **changes})


def remembered(of: DecodedImage | None = None) -> NearVerdicts:
    near = NearVerdicts()
    near.remember(of or image(), verdict(), View())
    return near


@pytest.mark.parametrize("distance", range(MAX_DISTANCE + 1))
def test_the_verdict_says_of_whom_it_was_said_before(distance: int) -> None:
    found = remembered().answer(image(distance), SECOND, View())
    assert found is not None
    assert found.near == NearVerdict(sha256=FIRST, distance=distance)
    assert (found.sha256, found.image, found.matches) == (SECOND, image().info, (make_match(),))
    assert found.pdq == image(distance).frames[0].pdq[0]


def test_the_nearest_counts_and_nothing_further_away() -> None:
    near = remembered()
    near.remember(image(6), verdict(sha256="3" * 64), View())
    found = near.answer(image(4), SECOND, View())
    assert found is not None
    assert found.near == NearVerdict(sha256="3" * 64, distance=2)
    assert remembered().answer(image(MAX_DISTANCE + 1), SECOND, View()) is None


@pytest.mark.parametrize("other", [image(quality=49), image(frames=2), image(low_information=True)])
def test_a_hash_that_does_not_tell_is_neither_kept_nor_looked_for(other: DecodedImage) -> None:
    assert remembered().answer(other, SECOND, View()) is None
    assert remembered(of=other).answer(image(), SECOND, View()) is None


def test_another_revision_knows_nothing_of_it() -> None:
    near = remembered()
    assert near.answer(image(), SECOND, View("e1:2")) is None
    near.remember(image(), verdict(), View("e1:2"))
    assert near.answer(image(), SECOND, View()) is not None, "judged at a revision that is over"
    near.remember(image(), verdict(index_revision="e1:2"), View("e1:2"))
    assert near.answer(image(), SECOND, View()) is None
    assert near.answer(image(), SECOND, View("e1:2")) is not None


def test_a_file_that_is_protected_by_its_bytes_is_judged_by_them() -> None:
    assert remembered().answer(image(), SECOND, View("e1:1", SECOND)) is None


@pytest.mark.parametrize("lacking", ["degraded", "hurried"])
def test_half_a_verdict_is_told_of_nobody_else(lacking: str) -> None:
    near = NearVerdicts()
    near.remember(image(), verdict(**{lacking: True}), View())
    assert near.answer(image(), SECOND, View()) is None


def test_the_oldest_goes_first() -> None:
    near = NearVerdicts(capacity=2)
    for number in range(3):
        near.remember(image(10 * number), replace(verdict(), sha256=f"{number}" * 64), View())
    assert near.answer(image(), SECOND, View()) is None
    for number in (1, 2):
        found = near.answer(image(10 * number), SECOND, View())
        assert found is not None
        assert found.near == NearVerdict(sha256=f"{number}" * 64, distance=0)
