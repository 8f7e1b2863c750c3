"""Which verdicts are told again: facts about an image, not about the moment in which it was judged."""

from __future__ import annotations

from typing import Final

from shared.errors import ErrorCode
from shared.types import Verdict

LASTING_ERRORS: Final = frozenset(
    {ErrorCode.NOT_AN_IMAGE, ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.CORRUPT, ErrorCode.TRUNCATED}
    | {ErrorCode.TOO_MANY_PIXELS, ErrorCode.ENCRYPTED}
)
"""What is wrong with the image itself; any other error may have passed the next time."""


def is_lasting(verdict: Verdict) -> bool:
    """Tell whether the same image gets the same verdict from the same index again."""
    if verdict.error is not None:
        return verdict.error.code in LASTING_ERRORS
    return not verdict.degraded and not verdict.hurried
