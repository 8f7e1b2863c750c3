"""Whatever comes in whatever order: each item leaves once, in order, and no late one is computed."""

from hypothesis import given
from hypothesis import strategies as st

from workers.batching import MicroBatcher

moments = st.floats(0, 10, allow_nan=False)
arrivals = st.lists(st.tuples(moments, st.none() | moments), max_size=40)


@given(
    arrivals=arrivals,
    looks=st.lists(moments, max_size=40),
    limit=st.integers(1, 8),
    wait=st.floats(0, 3),
    reserve=st.floats(0, 1),
)
def test_every_item_leaves_exactly_once(
    arrivals: list[tuple[float, float | None]], looks: list[float], limit: int, wait: float, reserve: float
) -> None:
    batcher: MicroBatcher[int] = MicroBatcher(limit=limit, wait=wait, reserve=reserve)
    computed: list[int] = []
    late: list[int] = []
    order = sorted(range(len(arrivals)), key=lambda number: arrivals[number][0])
    events = sorted([(arrivals[n][0], 0, n) for n in order] + [(look, 1, -1) for look in looks] + [(100.0, 1, -1)] * 41)
    for now, is_look, number in events:
        if not is_look:
            batcher.add(number, now, arrivals[number][1])
            continue
        opens = batcher.deadline
        due = batcher.due(now)
        assert len(due.batch) <= limit
        assert all((arrivals[each][1] or 1e9) > now for each in due.batch)
        assert all((arrivals[each][1] or 0.0) <= now for each in due.late)
        if due.batch:
            assert opens is not None
            assert now >= opens
        computed += due.batch
        late += due.late
    assert sorted(computed + late) == list(range(len(arrivals)))
    assert computed == [number for number in order if number in set(computed)]
    assert batcher.deadline is None


@given(since=moments, wait=st.floats(0, 3), limit=st.integers(2, 8))
def test_an_item_alone_is_taken_when_its_wait_is_over(since: float, wait: float, limit: int) -> None:
    batcher: MicroBatcher[str] = MicroBatcher(limit=limit, wait=wait)
    batcher.add("a", since)
    assert batcher.deadline == since + wait
    assert batcher.due(since + wait).batch == ("a",)
