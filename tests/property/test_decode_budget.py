"""Whatever a sender does and when, it has no more decoded than a bucket and what flowed into it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy_addon.verdicts.decode_budget import DecodeBudget, cost_of_bytes
from tests.factories import make_image_info, make_verdict

CALLS = st.lists(
    st.tuples(
        st.floats(0, 30, allow_nan=False),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 4 << 20),
        st.integers(1, 64),
    ),
    max_size=60,
)


@given(CALLS, st.integers(16, 400))
def test_never_more_than_a_bucket_and_what_flowed_into_it(calls: list[tuple[float, str, int, int]], units: int) -> None:
    budget, now = DecodeBudget(units), 0.0
    spent: dict[str, float] = {}
    for wait, sender, size, frames in calls:
        now += wait
        if budget.admits(sender, size, now):
            spent[sender] = spent.get(sender, 0.0) + cost_of_bytes(size)
            # Charging late only ever takes.
            budget.settle(sender, size, make_verdict(image=make_image_info(frames=64, frames_inspected=frames)), now)
        assert spent.get(sender, 0.0) <= units + units * now / 60 + 1e-6


@given(CALLS, st.integers(16, 400))
def test_what_one_sender_gets_does_not_depend_on_others(calls: list[tuple[float, str, int, int]], units: int) -> None:
    together, alone, now = DecodeBudget(units), DecodeBudget(units), 0.0
    for wait, sender, size, _ in calls:
        now += wait
        admitted = together.admits(sender, size, now)
        if sender == "a":
            assert admitted == alone.admits(sender, size, now)
