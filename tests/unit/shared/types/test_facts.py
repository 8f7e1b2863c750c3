"""What leaves the sandbox is whole."""

import pytest

from shared.types import DecodedImage, ImageInfo

INFO = ImageInfo(format="PNG", width=4, height=3, frames=1, frames_inspected=1, low_information=False)


@pytest.mark.parametrize(("variants", "pixels", "complaint"), [(7, 27, "eight"), (8, 26, "side")])
def test_a_decoded_image_is_whole(variants: int, pixels: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        DecodedImage(info=INFO, pdq=("0" * 64,) * variants, pdq_quality=100, side=3, pixels=bytes(pixels))
