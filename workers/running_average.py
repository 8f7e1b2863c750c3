"""How long something takes of late.  Pure."""

from __future__ import annotations

from typing import Final

WEIGHT: Final = 0.1
"""Of the newest measurement; the last twenty make up nine tenths of the average."""


class RunningAverage:
    """An exponential moving average; ``seconds`` is 0 until something was measured."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begun = False

    def add(self, seconds: float) -> None:
        """Take in a measurement."""
        self.seconds += (seconds - self.seconds) * (WEIGHT if self._begun else 1.0)
        self._begun = True
