"""Orders and answers that cannot be are not made."""

import pytest

from shared.errors import ErrorCode
from shared.types import RedactionOrder, RedactionReply, RedactionRequest, VerdictError

ERROR = VerdictError(code=ErrorCode.CORRUPT, message="bad")


@pytest.mark.parametrize(("payload", "blob"), [(None, None), (b"", "b")])
def test_a_request_has_its_picture_in_one_place(payload: bytes | None, blob: str | None) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        RedactionRequest(
            id="q",
            sha256="",
            budget_ms=1,
            sent_at=1.0,
            reply_to=0,
            size=1,
            order=RedactionOrder(),
            payload=payload,
            blob=blob,
        )


@pytest.mark.parametrize(
    ("payload", "blob", "error"), [(None, None, None), (b"", "b", None), (b"", None, ERROR), (None, "b", ERROR)]
)
def test_a_reply_says_one_thing(payload: bytes | None, blob: str | None, error: VerdictError | None) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        RedactionReply(id="q", sha256="", payload=payload, blob=blob, error=error)
