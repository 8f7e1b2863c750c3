"""How many questions a proxy has open at once, and with how many bytes: beyond that it asks no more.

Each question keeps its image until it is answered.  Workers that fall behind must not fill the proxy's memory, and who
would come last in such a queue is better told at once: its policy's ``on_uninspected`` applies for ``overloaded``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PENDING_QUESTIONS: Final = 2048
"""At 1.5 s of patience more than ten workers of two cores answer."""
PENDING_BYTES: Final = 512 << 20
"""Four objects of the largest size that is inspected, or 8,000 photographs of 60 KB."""


@dataclass(slots=True)
class Pending:
    """Open questions, counted.  One question alone is always taken, whatever its size."""

    questions: int = PENDING_QUESTIONS
    bytes: int = PENDING_BYTES
    held: int = 0
    held_bytes: int = 0

    def admits(self, size: int) -> bool:
        """Tell whether a question about ``size`` bytes may be asked too."""
        return self.held == 0 or (self.held < self.questions and self.held_bytes + size <= self.bytes)

    def opened(self, size: int) -> None:
        """Count a question in."""
        self.held += 1
        self.held_bytes += size

    def closed(self, size: int) -> None:
        """Count it out."""
        self.held -= 1
        self.held_bytes -= size
