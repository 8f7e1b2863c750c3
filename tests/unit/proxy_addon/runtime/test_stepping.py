"""A computation that pauses gives the others their turns, and ends in time."""

from __future__ import annotations

import asyncio

import pytest

from proxy_addon.runtime.stepping import StepsTooLate, run_steps
from shared.extract.budget import Steps


class Counting:
    """A computation of some steps that says how far it came and whether it was closed."""

    def __init__(self) -> None:
        self.steps = 0
        self.closed = False

    def run(self, count: int) -> Steps[str]:
        try:
            for _ in range(count):
                self.steps += 1
                yield
        finally:
            self.closed = True
        return "done"


async def test_the_result_is_what_the_computation_returns() -> None:
    assert await run_steps(Counting().run(3)) == "done"
    assert await run_steps(Counting().run(0)) == "done"


@pytest.mark.parametrize("turns", [True, False])
async def test_others_have_their_turn_between_the_steps_unless_they_are_to_wait(turns: bool) -> None:
    counting = Counting()
    seen: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: seen.append(counting.steps))
    await run_steps(counting.run(3), turns=turns)
    if not turns:
        assert seen == []
        await run_steps(Counting().run(1))
    assert seen == [1 if turns else 3]


async def test_what_is_late_is_closed_after_the_step_under_way() -> None:
    counting = Counting()
    with pytest.raises(StepsTooLate):
        await run_steps(counting.run(9), late=lambda: counting.steps == 2)
    assert (counting.steps, counting.closed) == (2, True)
    assert await run_steps(Counting().run(1), late=lambda: False) == "done"
