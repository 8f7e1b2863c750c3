"""Plain pictures are named by kind and seed."""

import pytest

from workers.training.drawing.plain import PLAIN, draw_plain


@pytest.mark.parametrize("kind", PLAIN)
def test_a_name_means_one_picture(kind: str) -> None:
    picture = draw_plain(kind, 3)
    assert picture.mode == "RGB"
    assert picture.tobytes() == draw_plain(kind, 3).tobytes()
    assert picture.tobytes() != draw_plain(kind, 4).tobytes()


def test_an_unknown_kind_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        draw_plain("oil_painting", 1)
