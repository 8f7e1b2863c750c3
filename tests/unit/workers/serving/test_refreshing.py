"""A known verdict and a changed index give the verdict of an inspection now, or none where that takes the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from shared.core.matching import SetFacts
from shared.errors import ErrorCode
from shared.types import ContainerInfo, KnownVerdict, ReferenceMatch, VerdictError
from tests.factories import make_frame, make_match, make_verdict
from tests.inspection_doubles import KnownIndex
from workers.closer_look.evidence import Sight
from workers.closer_look.kept_look import pack_look
from workers.search.live_segment import Probe
from workers.search.view import HINT_SCORE, SMALL_SET
from workers.serving.refreshing import TRACED_FRAMES, refreshed, traces_of, without_looks

VECTOR = np.full(4, 0.5, dtype=np.float32)
WEAK = make_match(matched=False, score=HINT_SCORE - 1, evidence=None)


class View(KnownIndex):
    """Finds what it is told to."""

    revision = "e1:9"

    def __init__(self, *matches: ReferenceMatch, thorough: bool | None = False, size: int = 1) -> None:
        super().__init__()
        facts = SetFacts(name="designs", threshold=85.0, size=size, thorough=thorough)
        self.sets: Mapping[str, SetFacts] = {"designs": facts}
        self.matches = matches
        self.compares = False

    def search(self, probes: Sequence[Probe]) -> list[tuple[ReferenceMatch, ...]]:
        self.asked += probes
        if self.compares:
            for probe in probes:
                assert probe.sight is not None
                assert probe.sight.plane.any()
        return [self.matches] * len(probes)


def known(frames: int = 1, *, low_information: bool = False, look: bytes = b"") -> KnownVerdict:
    pictures = [make_frame(index=number, low_information=low_information) for number in range(frames)]
    traces = traces_of(pictures, [None if low_information else VECTOR] * frames, [look] * frames)
    return KnownVerdict(verdict=make_verdict(index_revision="e1:1", matches=()), traces=traces)


def test_what_was_added_is_found_by_what_the_image_was_searched_by() -> None:
    view = View(WEAK)
    current = refreshed(known(), view)
    assert current is not None
    assert (current.verdict.matches, current.verdict.index_revision) == ((WEAK,), "e1:9")
    (probe,) = view.asked
    assert probe.vector is not None
    assert probe.vector.tolist() == VECTOR.tolist()
    assert probe.pdq == make_frame().pdq
    assert probe.sight is None


def test_what_was_removed_is_gone() -> None:
    current = refreshed(replace(known(), verdict=make_verdict(matches=(WEAK,), index_revision="e1:1")), View())
    assert current is not None
    assert current.verdict.matches == ()


def test_every_frame_is_searched_again() -> None:
    view = View()
    assert refreshed(known(3), view) is not None
    assert len(view.asked) == 3


def test_where_something_is_near_the_picture_is_needed() -> None:
    assert refreshed(known(), View(replace(WEAK, score=HINT_SCORE))) is None


def test_so_it_is_where_a_set_looks_at_every_image_closely() -> None:
    assert refreshed(known(), View(thorough=True)) is None
    assert refreshed(known(), View(thorough=None, size=SMALL_SET)) is None
    assert refreshed(known(), View(thorough=None, size=SMALL_SET + 1)) is not None
    assert refreshed(known(low_information=True), View(thorough=True)) is not None


def test_what_was_looked_at_closely_is_looked_at_again_from_what_was_seen() -> None:
    sight = Sight(np.random.default_rng(1).integers(0, 256, (120, 160), np.uint8), (640, 480), lambda: 0.0)
    assert len(sight.features)
    look = pack_look(sight)
    view = View(replace(WEAK, score=HINT_SCORE), thorough=True)
    current = refreshed(known(2, look=look), view)
    assert current is not None
    assert current.verdict.matches == (replace(WEAK, score=HINT_SCORE),)
    assert [probe.sight is not None and len(probe.sight.features) for probe in view.asked] == [len(sight.features)] * 2
    view.compares = True
    assert refreshed(known(look=look), view) is None, "what was found has to be compared with the picture"
    assert without_looks(known(2, look=look)) == known(2)


def test_a_file_of_many_frames_leaves_no_traces() -> None:
    view = View()
    assert refreshed(known(TRACED_FRAMES + 1), view) is None
    assert view.asked == []


def test_what_is_wrong_with_an_image_does_not_depend_on_the_index() -> None:
    error = VerdictError(code=ErrorCode.CORRUPT, message="cut")
    current = refreshed(KnownVerdict(verdict=make_verdict(error=error, index_revision="e1:1")), View())
    assert current is not None
    assert (current.verdict.error, current.verdict.index_revision) == (error, "e1:9")


def test_a_container_is_opened_again() -> None:
    info = ContainerInfo(format="zip", images=0, images_inspected=0)
    verdict = make_verdict(error=VerdictError(code=ErrorCode.ENCRYPTED, message=""), container=info)
    assert refreshed(KnownVerdict(verdict=verdict, traces=known().traces), View()) is None
