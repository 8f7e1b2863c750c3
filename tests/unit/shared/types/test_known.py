"""What is kept of a verdict survives the store."""

from shared import codec
from shared.types import FrameTrace, KnownVerdict
from tests.factories import make_verdict


def test_a_known_verdict_comes_back_as_it_was_kept() -> None:
    trace = FrameTrace(index=3, vector=b"\0\0\x80?", pdq=("a" * 64,) * 8, pdq_quality=90, low_information=False)
    known = KnownVerdict(verdict=make_verdict(), traces=(trace,), classifiers=(("documents", 3),))
    assert codec.decode_known(codec.encode_known(known)) == known
