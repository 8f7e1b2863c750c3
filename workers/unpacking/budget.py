"""One budget for a container and everything inside it, counted while it is inflated.

What a container declares (sizes, counts, page boxes) is never believed: bytes are charged as they come out, entries as
they are met.  A limit of the whole walk ends it (``BudgetSpentError``); what was found before stays found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.errors import SafelightError

MIB: Final = 1 << 20


class Limit(StrEnum):
    """The limits by name, as the metric ``safelight_worker_unpack_limit_hits_total`` has them."""

    INFLATED_BYTES = "inflated_bytes"
    RATIO = "ratio"
    ENTRIES = "entries"
    DEPTH = "depth"
    IMAGES = "images"
    IMAGE_BYTES = "image_bytes"
    PAGES = "pages"
    PIXELS = "pixels"
    SECONDS = "seconds"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one container may cost, everything nested in it included.

    ``max_inflated_bytes``: bytes that come out of all of it, those of nested containers again.  ``max_ratio`` (output
    to input) counts only past ``ratio_floor`` bytes: a blank bitmap compresses a thousandfold and is no attack.
    ``max_image_bytes``: of the files of the pictures that are handed out.  ``max_pages`` of all PDF documents together,
    ``max_page_pixels`` of a page that is rendered: A4 at 150 dpi has 2.2 million, A3 4.4.  ``max_pixels`` of a picture
    in a PDF that no image file stands for.  ``seconds`` of wall time; the child is killed some time after.
    """

    max_inflated_bytes: int = 256 * MIB
    max_ratio: int = 200
    ratio_floor: int = 32 * MIB
    max_entries: int = 10_000
    max_depth: int = 8
    max_images: int = 256
    max_image_bytes: int = 128 * MIB
    max_pages: int = 200
    max_page_pixels: int = 4_500_000
    max_pixels: int = 50_000_000
    max_problems: int = 32
    seconds: float = 5.0


class BudgetSpentError(SafelightError):
    """A limit of the whole walk is reached: nothing more is read."""

    def __init__(self, limit: Limit, message: str) -> None:
        super().__init__(message)
        self.limit = limit


class Budget:
    """What is left for one container of ``size`` bytes; ``clock`` in monotonic seconds."""

    def __init__(self, limits: Limits, size: int, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._size = size
        self._clock = clock
        self._until = clock() + limits.seconds
        self._inflated = 0
        self._entries = 0
        self._image_bytes = 0
        self._images = 0
        self._pages = 0

    @property
    def inflated_left(self) -> int:
        """Bytes that may still come out."""
        ratio = max(self.limits.ratio_floor, self.limits.max_ratio * self._size)
        return max(0, min(self.limits.max_inflated_bytes, ratio) - self._inflated)

    def tick(self) -> None:
        """Raise BudgetSpentError when the time is up."""
        if self._clock() >= self._until:
            raise BudgetSpentError(Limit.SECONDS, f"not unpacked within {self.limits.seconds:g} s")

    def spend_inflated(self, size: int) -> None:
        """Charge bytes that came out; raises BudgetSpentError."""
        self._inflated += size
        if self._inflated > self.limits.max_inflated_bytes:
            message = f"inflates to more than {self.limits.max_inflated_bytes} bytes"
            raise BudgetSpentError(Limit.INFLATED_BYTES, message)
        if self._inflated > max(self.limits.ratio_floor, self.limits.max_ratio * self._size):
            raise BudgetSpentError(Limit.RATIO, f"inflates more than {self.limits.max_ratio} times")
        self.tick()

    def spend_entry(self) -> None:
        """Charge something that is looked at; raises BudgetSpentError."""
        self._entries += 1
        if self._entries > self.limits.max_entries:
            raise BudgetSpentError(Limit.ENTRIES, f"more than {self.limits.max_entries} entries")
        self.tick()

    def spend_page(self) -> None:
        """Charge a page of a document; raises BudgetSpentError."""
        self._pages += 1
        if self._pages > self.limits.max_pages:
            raise BudgetSpentError(Limit.PAGES, f"more than {self.limits.max_pages} pages")
        self.tick()

    def spend_image(self, size: int) -> None:
        """Charge a picture that is handed out; raises BudgetSpentError."""
        self._images += 1
        self._image_bytes += size
        if self._images > self.limits.max_images:
            raise BudgetSpentError(Limit.IMAGES, f"more than {self.limits.max_images} images")
        if self._image_bytes > self.limits.max_image_bytes:
            raise BudgetSpentError(Limit.IMAGE_BYTES, f"more than {self.limits.max_image_bytes} bytes of images")
