"""What a worker remembers is bounded in number and in time."""

from shared.types import FrameTrace, KnownVerdict
from tests.factories import make_verdict
from workers.serving.known_verdicts import KnownVerdicts


def known(revision: str = "e:1", look: bytes = b"") -> KnownVerdict:
    trace = FrameTrace(index=0, vector=b"", pdq=(), pdq_quality=0, low_information=False, look=look)
    return KnownVerdict(verdict=make_verdict(index_revision=revision), traces=(trace,))


def test_the_one_not_asked_for_the_longest_goes_first() -> None:
    memory = KnownVerdicts(capacity=2)
    memory.put("a", known(), 0.0)
    memory.put("b", known(), 0.0)
    assert memory.get("a", 1.0) is not None
    memory.put("c", known(), 1.0)
    assert [name for name in "abc" if memory.get(name, 1.0)] == ["a", "c"]
    assert len(memory) == 2


def test_nothing_is_remembered_for_ever_however_often_it_is_brought_up_to_date() -> None:
    memory = KnownVerdicts(seconds=10.0)
    memory.put("a", known("e:1"), 0.0)
    memory.put("a", known("e:2"), 9.0)
    held = memory.get("a", 9.9)
    assert held is not None
    assert held.verdict.index_revision == "e:2"
    assert memory.get("a", 10.0) is None
    assert len(memory) == 0


def test_looks_are_bounded_in_bytes_and_go_before_the_verdicts() -> None:
    memory = KnownVerdicts(capacity=3, look_bytes=20)
    for name in "ab":
        memory.put(name, known(look=bytes(10)), 0.0)
    assert memory.look_bytes == 20
    memory.get("a", 0.0)
    memory.put("c", known(look=bytes(8)), 0.0)
    assert memory.look_bytes == 18
    looks = {name: held.traces[0].look for name in "abc" if (held := memory.get(name, 0.0)) is not None}
    assert looks == {"a": bytes(10), "b": b"", "c": bytes(8)}
    memory.put("a", known("e:2"), 0.0)
    memory.put("d", known(), 0.0)
    assert (memory.look_bytes, len(memory)) == (8, 3)
    assert memory.get("c", 1e9) is None
    assert memory.look_bytes == 0
