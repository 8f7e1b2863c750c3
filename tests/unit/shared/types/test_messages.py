"""A request is whole."""

import pytest

from shared.types import InspectionRequest


def test_a_request_carries_its_payload_or_a_claim_check_never_both() -> None:
    for payload, blob in ((None, None), (b"x", "inspect/1")):
        with pytest.raises(ValueError, match="exactly one"):
            InspectionRequest(
                id="1", sha256="0" * 64, budget_ms=1, sent_at=0.0, reply_to=0, size=1, payload=payload, blob=blob
            )
