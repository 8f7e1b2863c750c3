"""Whatever comes in whatever order: each item leaves once, in the order of its rank, and no late one is computed."""

import math

from hypothesis import given
from hypothesis import strategies as st

from shared.types import Priority
from workers.encoders.batching import MicroBatcher
from workers.encoders.lanes import HANDICAPS

moments = st.floats(0, 10, allow_nan=False)
arrivals = st.lists(st.tuples(moments, st.none() | moments, st.sampled_from(Priority)), max_size=40)


def due_by(arrival: tuple[float, float | None, Priority]) -> float:
    return math.inf if arrival[1] is None else arrival[1]


def rank(arrival: tuple[float, float | None, Priority]) -> float:
    return arrival[0] + HANDICAPS[arrival[2]]


@given(
    arrivals=arrivals,
    looks=st.lists(moments, max_size=40),
    sizes=st.sampled_from([(1,), (1, 2, 4), (1, 2, 3, 4, 5), (1, 8)]),
    wait=st.floats(0, 3),
    reserve=st.floats(0, 1),
)
def test_every_item_leaves_exactly_once(
    arrivals: list[tuple[float, float | None, Priority]],
    looks: list[float],
    sizes: tuple[int, ...],
    wait: float,
    reserve: float,
) -> None:
    batcher: MicroBatcher[int] = MicroBatcher(sizes=sizes, wait=wait, reserve=reserve)
    computed: list[int] = []
    late: list[int] = []
    order = sorted(range(len(arrivals)), key=lambda number: arrivals[number][0])
    events = sorted([(arrivals[n][0], 0, n) for n in order] + [(look, 1, -1) for look in looks] + [(100.0, 1, -1)] * 41)
    for now, is_look, number in events:
        if not is_look:
            batcher.add(number, now, arrivals[number][1], arrivals[number][2])
            continue
        opens = batcher.deadline
        due = batcher.due(now)
        assert len(due.batch) in (0, *sizes)
        assert all(due_by(arrivals[each]) > now for each in due.batch)
        assert all(due_by(arrivals[each]) <= now + reserve for each in due.late)
        assert [rank(arrivals[each]) for each in due.batch] == sorted(rank(arrivals[each]) for each in due.batch)
        if due.batch:
            assert opens is not None
            assert now >= opens
        computed += due.batch
        late += due.late
    assert sorted(computed + late) == list(range(len(arrivals)))
    for priority in Priority:
        of_lane = [number for number in computed if arrivals[number][2] is priority]
        assert of_lane == [number for number in order if number in set(of_lane)]
    assert batcher.deadline is None


@given(since=moments, wait=st.floats(0, 3), limit=st.integers(2, 8))
def test_an_item_alone_is_taken_when_its_wait_is_over(since: float, wait: float, limit: int) -> None:
    batcher: MicroBatcher[str] = MicroBatcher(sizes=range(1, limit + 1), wait=wait)
    batcher.add("a", since)
    assert batcher.deadline == since + wait
    assert batcher.due(since + wait).batch == ("a",)
