"""A few bytes of a download while its verdict is awaited, so that the client does not give up.

What leaves before the verdict is never enough to recognise a picture by: one byte at a time, a few hundred in all, of
a file whose header alone takes as much, and never more than half of it.
"""

from __future__ import annotations

from typing import Final

INTERVAL_SECONDS: Final = 1.0
"""Between two bytes; idle limits of clients and load balancers begin at a few seconds."""
MAX_TRICKLED: Final = 256
"""Bytes that leave before a verdict at most: JPEG's tables alone are larger."""


class Trickle:
    """What of one held body has left before its verdict."""

    __slots__ = ("_open", "_sent")

    def __init__(self) -> None:
        self._sent = 0
        self._open = True

    def allow(self, size: int) -> bool:
        """Let one more byte of a body of ``size`` leave, where it may."""
        if not self._open or self._sent >= min(MAX_TRICKLED, size // 2):
            return False
        self._sent += 1
        return True

    def close(self) -> int:
        """Let nothing more leave; return how many bytes have."""
        self._open = False
        return self._sent

    @property
    def sent(self) -> int:
        """How many bytes have left."""
        return self._sent
