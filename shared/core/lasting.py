"""Which verdicts are told again: facts about an image, not about the moment in which it was judged."""

from __future__ import annotations

from typing import Final

from shared.errors import ErrorCode
from shared.types import ContainerInfo, Verdict

LASTING_ERRORS: Final = frozenset(
    {ErrorCode.NOT_AN_IMAGE, ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.CORRUPT, ErrorCode.TRUNCATED}
    | {ErrorCode.TOO_MANY_PIXELS, ErrorCode.ENCRYPTED}
)
"""What is wrong with the image itself; any other error may have passed the next time."""
MAX_IMAGES: Final = 32
"""Of a container; 1 KB to 3 KB each are kept."""


def is_lasting(verdict: Verdict) -> bool:
    """Tell whether the same image gets the same verdict from the same index again.

    A container does where all that is in it does; one of more than ``MAX_IMAGES`` is not worth its memory.
    """
    if verdict.container is not None and not _lasts(verdict, verdict.container):
        return False
    if verdict.error is not None:
        known = ErrorCode.OPAQUE if verdict.container is not None else None
        return verdict.error.code in LASTING_ERRORS or verdict.error.code is known
    return not verdict.degraded and not verdict.hurried and verdict.near is None


def _lasts(verdict: Verdict, info: ContainerInfo) -> bool:
    codes = {part.error.code for part in info.unread}
    return (
        len(verdict.images) <= MAX_IMAGES
        and codes <= LASTING_ERRORS | {ErrorCode.OPAQUE}
        and all(is_lasting(image) for image in verdict.images)
    )
