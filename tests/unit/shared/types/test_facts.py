"""What leaves the sandbox is whole."""

import pytest

from shared.types import DecodedImage
from tests.factories import make_frame, make_image_info


@pytest.mark.parametrize(
    ("pixels", "views"), [((bytes(26),), ()), ((bytes(27), bytes(26)), ()), ((bytes(27),), (bytes(3),))]
)
def test_every_frame_s_pixels_fit_the_encoder(pixels: tuple[bytes, ...], views: tuple[bytes, ...]) -> None:
    frames = tuple(make_frame(pixels=each, views=views) for each in pixels)
    with pytest.raises(ValueError, match="side"):
        DecodedImage(info=make_image_info(), side=3, frames=frames)


def test_there_is_a_frame() -> None:
    with pytest.raises(ValueError, match="at least one"):
        DecodedImage(info=make_image_info(), side=3, frames=())


def test_a_frame_has_eight_hashes_and_a_whole_plane() -> None:
    with pytest.raises(ValueError, match="eight"):
        make_frame(pdq=("0" * 64,) * 7)
    with pytest.raises(ValueError, match="plane"):
        make_frame(plane=bytes(5), plane_size=(2, 3))
