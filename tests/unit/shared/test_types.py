"""Values validate themselves once, where they are made."""

import pytest

from shared.types import RESTRICTIVENESS, Action, DecodedImage, HttpHead, ImageInfo, InspectionRequest, Part

INFO = ImageInfo(format="PNG", width=4, height=3, frames=1, frames_inspected=1, low_information=False)


def test_a_request_carries_its_payload_or_a_claim_check_never_both() -> None:
    for payload, blob in ((None, None), (b"x", "inspect/1")):
        with pytest.raises(ValueError, match="exactly one"):
            InspectionRequest(id="1", sha256="0" * 64, budget_ms=1, sent_at=0.0, reply_to=0, payload=payload, blob=blob)


def test_a_part_has_a_real_digest() -> None:
    with pytest.raises(ValueError, match="sha256"):
        Part(data=b"", media_type="image/png", locator="body", sha256="ABC")


@pytest.mark.parametrize(("variants", "pixels", "complaint"), [(7, 27, "eight"), (8, 26, "side")])
def test_a_decoded_image_is_whole(variants: int, pixels: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        DecodedImage(info=INFO, pdq=("0" * 64,) * variants, pdq_quality=100, side=3, pixels=bytes(pixels))


def test_every_action_has_its_place_and_block_beats_coach() -> None:
    assert set(RESTRICTIVENESS) == set(Action)
    assert RESTRICTIVENESS.index(Action.BLOCK) > RESTRICTIVENESS.index(Action.REDACT)
    assert RESTRICTIVENESS.index(Action.REDACT) > RESTRICTIVENESS.index(Action.COACH)


def test_the_first_of_repeated_headers_counts() -> None:
    head = HttpHead(method="GET", scheme="http", host="a", port=80, path="/", headers=(("a", "1"), ("a", "2")))
    assert head.header("a") == "1"
    assert head.header("b") == ""
