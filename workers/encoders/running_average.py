"""How long something takes of late.  Pure.

Mean and mean deviation are smoothed as those of round trips in TCP are (RFC 6298).
"""

from __future__ import annotations

from typing import Final

WEIGHT: Final = 0.1
"""Of the newest measurement; the last twenty make up nine tenths of the average."""
DEVIATIONS: Final = 4


class RunningAverage:
    """An exponential moving average; ``seconds`` and ``most`` are 0 until something was measured."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._deviation = 0.0
        self._begun = False

    @property
    def most(self) -> float:
        """As long as it hardly ever takes: to count on it is not to hope."""
        return self.seconds + DEVIATIONS * self._deviation

    def add(self, seconds: float) -> None:
        """Take in a measurement."""
        if not self._begun:
            self.seconds, self._begun = seconds, True
            return
        self._deviation += WEIGHT * (abs(seconds - self.seconds) - self._deviation)
        self.seconds += WEIGHT * (seconds - self.seconds)
