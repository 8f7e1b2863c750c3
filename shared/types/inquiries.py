"""What is asked of images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from shared.types.vocabulary import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What is asked of images, beside the images.

    ``deadline``: until when (monotonic seconds) an answer is of use; infinite where the asker waits for it anyway.
    ``priority``: whom it goes before.  ``classifiers``: whose labels are asked for; no other is computed.
    ``sender``: who is charged for what has to be decoded, nobody where it is empty.
    ``near_cache``: what was said of an image that looks the same by its PDQ hash will do.
    """

    deadline: float = math.inf
    priority: Priority = Priority.UPLOAD
    classifiers: tuple[str, ...] = ()
    sender: str = ""
    near_cache: bool = False

    @property
    def limit(self) -> float | None:
        """The deadline where there is one."""
        return self.deadline if math.isfinite(self.deadline) else None


AT_LEISURE: Final = Inquiry()
"""A verdict without labels, however long it takes."""
