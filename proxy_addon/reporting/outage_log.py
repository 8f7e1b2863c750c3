"""What fails again and again is told twice: when it begins, and when it is over, with how often it failed."""

from __future__ import annotations

import logging


class OutageLog:
    """``what`` is a sentence about what fails, such as ``cannot ask for a verdict``."""

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._failures = 0

    def failed(self, error: Exception) -> None:
        """Note a failure; the first one is told."""
        self._failures += 1
        if self._failures == 1:
            self._logger.warning("%s, told again when that is over: %s", self._what, error)

    def over(self) -> None:
        """Note that it works; told where it did not."""
        failures, self._failures = self._failures, 0
        if failures:
            self._logger.warning("%s: over, failures: %d", self._what, failures)
