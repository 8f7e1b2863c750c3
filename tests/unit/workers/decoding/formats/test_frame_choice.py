"""Of many frames those are chosen that look different; the one that stands out is never missed."""

import numpy as np
import pytest
from PIL import Image

from tests.image_factories import make_picture
from workers.decoding.formats.frame_choice import SAME_LEVELS, FrameChoice, Thumbnail, difference, thumbnail


def flat(level: float) -> Thumbnail:
    return np.full(16 * 16 * 3, level, np.float32)


def film(frames: int) -> list[Thumbnail]:
    """A scene that brightens slowly: neighbours look alike, the ends do not."""
    return [flat(60 + 120 * number / frames) for number in range(frames)]


def test_what_looks_the_same_is_chosen_once() -> None:
    choice = FrameChoice(16)
    offered = [choice.offer(index, flat(100 + index % 2)) for index in range(50)]
    assert offered == [True] + [False] * 49
    assert (choice.chosen, choice.represented()) == ((0,), 50)


def test_frames_up_to_the_limit_are_all_chosen() -> None:
    choice = FrameChoice(16)
    assert all(choice.offer(index, flat(10.0 * index)) for index in range(16))
    assert choice.represented() == 16


@pytest.mark.parametrize("secret", [1, 37, 498])
@pytest.mark.parametrize("limit", [8, 16])
def test_the_frame_that_stands_out_is_kept(secret: int, limit: int) -> None:
    choice = FrameChoice(limit)
    other = thumbnail(make_picture(seed=9))
    frames = [other if index == secret else seen for index, seen in enumerate(film(500))]
    for index, seen in enumerate(frames):
        choice.offer(index, seen, last=index == 499)
    assert {0, secret} <= set(choice.chosen)
    assert min(difference(frames[499], frames[index]) for index in choice.chosen) < SAME_LEVELS
    assert len(choice.chosen) <= limit


def test_a_long_film_is_represented_from_end_to_end() -> None:
    choice = FrameChoice(16)
    seen = film(500)
    for index, each in enumerate(seen):
        choice.offer(index, each, last=index == 499)
    apart = [min(difference(each, seen[index]) for index in choice.chosen) for each in seen]
    assert max(apart) < 2 * 120 / 16  # with 16 evenly spread it would be half a step of 120 / 15


def test_noise_is_not_represented_and_says_so() -> None:
    choice = FrameChoice(16)
    random = np.random.default_rng(1)
    for index in range(300):
        choice.offer(index, random.uniform(0, 255, 768).astype(np.float32))
    assert len(choice.chosen) == 16
    assert choice.represented() == 16


def test_one_frame_may_be_all() -> None:
    choice = FrameChoice(1)
    assert [choice.offer(index, flat(90.0 * index), last=index == 2) for index in range(3)] == [True, False, False]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_thumbnails_are_alike_in_every_mode(mode: str) -> None:
    grey = make_picture().convert("L")
    assert difference(thumbnail(grey.convert(mode)), thumbnail(grey)) < 1


def test_what_is_clear_does_not_show() -> None:
    clear = Image.new("RGBA", (40, 40), (200, 0, 0, 0))
    assert difference(thumbnail(clear), flat(255)) == 0


def test_a_quarter_step_in_one_cell_is_seen() -> None:
    changed = flat(100).copy()
    changed[:3] += 65
    assert difference(changed, flat(100)) > SAME_LEVELS
