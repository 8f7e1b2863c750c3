"""Runs a computation that pauses (``Steps``) on the event loop, other flows between its steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shared.extract.budget import Steps


class StepsTooLate(Exception):
    """The computation did not end in time; it has been closed."""


async def run_steps[T](steps: Steps[T], *, late: Callable[[], bool] | None = None, turns: bool = True) -> T:
    """Run a computation to its end and return what it returns.

    ``late`` is asked after each step.  Without ``turns`` the other flows wait: for what is over before they would
    notice.  Raises StepsTooLate.
    """
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        if late is not None and late():
            steps.close()
            raise StepsTooLate
        if turns:
            await asyncio.sleep(0)
