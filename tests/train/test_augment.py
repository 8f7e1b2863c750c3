"""Every edit by which pictures leak is really drawn, often enough to be learned, and does what it is named for."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

from workers.training import augment
from workers.training.augment import (
    SIDE,
    Picture,
    Pixels,
    contact_sheet,
    degrade,
    overlay,
    paste,
    photograph,
    recolour,
    strong_view,
    warp,
    weak_view,
)

pytestmark = pytest.mark.train

VIEWS: Final = 1500
EDITS: Final = (
    *("recolour", "paste", "overlay", "photograph", "moire", "degrade", "_decorate", "_write", "_shift_hue"),
    *("_equalise", "_blur", "_shrink", "_noise", "_jpeg", "_sharpen"),
)
RED: Final = (200, 30, 40)


def flat(colour: tuple[int, int, int]) -> Picture:
    large = np.full((256, 256, 3), colour, np.uint8)
    return Picture(large, large[:128, :128], 1.5)


def textured(seed: int = 0) -> Picture:
    """Coarse blocks of any colour, so that every turn and crop looks different."""
    large = (
        np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(32, axis=0).repeat(32, axis=1)
    )
    return Picture(large, np.ascontiguousarray(large[::2, ::2]), 1.5)


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> tuple[Counter[str], list[dict[str, Any]]]:
    """Count the edits that are drawn, and keep what ``warp`` is asked for."""
    counts: Counter[str] = Counter()
    warps: list[dict[str, Any]] = []

    def counting(name: str, edit: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*values: Any) -> Any:
            counts[name] += 1
            return edit(*values)

        return counted

    def warping(picture: Picture, crop: augment.Crop, angle: float, **how: Any) -> Pixels:
        warps.append({"crop": crop, "angle": angle, **how})
        return warp(picture, crop, angle, **how)

    for name in EDITS:
        monkeypatch.setattr(augment, name, counting(name, getattr(augment, name)))
    monkeypatch.setattr(augment, "warp", warping)
    return counts, warps


def test_every_edit_is_drawn_as_often_as_it_needs_to_be_learned(
    record: tuple[Counter[str], list[dict[str, Any]]],
) -> None:
    counts, warps = record
    rng, picture, other = random.Random(1), textured(1), textured(2)
    for _ in range(VIEWS):
        strong_view(picture, rng, 1.0, other)
    shares = {name: counts[name] / VIEWS for name in EDITS}
    least = {"recolour": 0.6, "paste": 0.25, "overlay": 0.3, "photograph": 0.09, "moire": 0.05, "degrade": 0.5}
    least |= {"_jpeg": 0.14, "_blur": 0.06, "_shrink": 0.06, "_noise": 0.06, "_sharpen": 0.06}
    least |= {"_decorate": 0.08, "_write": 0.2, "_shift_hue": 0.06, "_equalise": 0.01}
    assert {name: share for name, share in shares.items() if share < least[name]} == {}

    angles = np.array([each["angle"] for each in warps])
    quarters = (angles != 0) & (angles % 90 == 0)
    steep = ~quarters & (np.abs(angles) > 15)
    tilted = ~quarters & (angles != 0) & (np.abs(angles) <= 15)
    assert quarters.mean() > 0.1
    assert steep.mean() > 0.18
    assert tilted.mean() > 0.18
    assert set(np.unique(np.floor(angles[steep] / 30))) == set(range(-6, 6))  # every direction
    assert 0.35 < np.mean([each["mirror"] for each in warps]) < 0.45
    assert 0.07 < np.mean([each["flip"] for each in warps]) < 0.13
    assert 0.5 < np.mean([each["expand"] for each in warps]) < 0.7

    sides = np.array([each["crop"][2:] for each in warps])
    areas, ratios = sides.prod(axis=1), sides[:, 0] / sides[:, 1]
    assert areas.min() < 0.1
    assert (areas < 0.25).mean() > 0.08
    assert 0.3 < (areas == 1).mean() < 0.4
    assert ratios.min() < 0.65
    assert ratios.max() > 1.5


def test_an_easy_view_has_milder_edits_than_a_hard_one(
    record: tuple[Counter[str], list[dict[str, Any]]],
) -> None:
    _, warps = record
    rng = random.Random(2)
    for hardness in (0.0, 1.0):
        for _ in range(300):
            strong_view(textured(1), rng, hardness, textured(2))
    easy, hard = warps[:300], warps[300:]
    assert all(each["angle"] == 0 for each in easy)
    assert min(each["crop"][2] * each["crop"][3] for each in easy) >= 0.49
    assert min(each["crop"][2] * each["crop"][3] for each in hard) < 0.2


def test_colour_changes_include_grey_brighter_darker_and_other_hues() -> None:
    view = np.full((SIDE, SIDE, 3), RED, np.uint8)
    changed = [recolour(view, random.Random(seed), 1.0)[0, 0].astype(int) for seed in range(600)]
    assert 0.2 < np.mean([np.ptp(colour) == 0 for colour in changed]) < 0.4
    assert np.mean([colour.mean() > np.mean(RED) * 1.15 for colour in changed]) > 0.1
    assert np.mean([colour.mean() < np.mean(RED) * 0.85 for colour in changed]) > 0.1
    assert np.mean([colour.argmax() != 0 for colour in changed if np.ptp(colour)]) > 0.01
    assert np.mean([np.ptp(colour) > np.ptp(RED) * 1.15 for colour in changed]) > 0.05


def test_a_paste_shows_the_whole_picture_small_on_a_photograph_a_page_or_a_screen() -> None:
    blue = (20, 60, 220)
    shares, grounds = [], Counter[str]()
    for seed in range(400):
        pasted = paste(np.full((SIDE, SIDE, 3), RED, np.uint8), random.Random(seed), flat(blue))
        mine = (pasted == RED).all(axis=2)
        rest = np.unique(pasted[~mine], axis=0)
        shares.append(mine.mean())
        one = "photograph" if (rest == blue).all() else "page"
        grounds[one if len(rest) == 1 else "screen"] += 1
    assert 0.15 < min(shares) < 0.25
    assert max(shares) > 0.8
    assert np.mean(np.abs(np.array(shares) - 0.25) < 0.03) > 0.1  # one quarter of a collage
    assert min(grounds.values()) > 60, grounds
    assert len(grounds) == 3


def test_an_overlay_covers_a_part_with_text_shapes_or_another_picture() -> None:
    blue = (20, 60, 220)
    view = np.full((SIDE, SIDE, 3), RED, np.uint8)
    over = [overlay(view, random.Random(seed), flat(blue)) for seed in range(400)]
    covered = np.array([(each != view).any(axis=2).mean() for each in over])
    assert (covered < 0.5).mean() > 0.95
    assert (covered > 0.005).mean() > 0.95
    patches = [(each == blue).all(axis=2).mean() for each in over]
    assert np.mean([share > 0.02 for share in patches]) > 0.15
    assert (view == RED).all()  # the view itself is left alone


def test_a_photograph_of_a_screen_is_seen_at_an_angle_and_lit_unevenly() -> None:
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    grey[8:-8, 8:-8] = 160
    seen = [photograph(grey, random.Random(seed)).astype(float).mean(axis=2) for seed in range(200)]
    edges = [np.abs(np.diff(each[:, SIDE // 4] - each[:, 3 * SIDE // 4])).max() for each in seen]
    assert np.mean([edge > 5 for edge in edges]) > 0.5  # the screen's edge is not level
    middles = [each[32:64, 32:64] for each in seen]
    assert np.mean([np.ptp(middle) > 3 for middle in middles]) > 0.6  # light falls off, or moire beats


def test_degradations_lose_or_add_detail() -> None:
    view = augment.whole(textured(3))
    kinds = Counter[str]()
    for seed in range(300):
        changed = degrade(view, random.Random(seed), 1.0).astype(float)
        detail, before = (np.abs(np.diff(each.astype(float), axis=1)).mean() for each in (changed, view))
        kinds["less" if detail < before * 0.98 else "more" if detail > before * 1.02 else "same"] += 1
    assert kinds["less"] > 60
    assert kinds["more"] > 60


def test_a_weak_view_is_upright_and_mostly_the_whole_picture() -> None:
    picture = textured(4)
    plain = augment.whole(picture).astype(float)
    off = [np.abs(weak_view(picture, random.Random(seed)).astype(float) - plain).mean() for seed in range(200)]
    assert np.mean(np.array(off) < 25) > 0.5


def test_the_contact_sheet_shows_a_row_a_picture_and_is_always_the_same() -> None:
    pictures = [textured(seed) for seed in range(3)]
    one, same, other = (contact_sheet(pictures, 4, 1.0, seed) for seed in (1, 1, 2))
    assert one.size == (6 * (SIDE + 4) + 4, 3 * (SIDE + 4) + 4)
    assert one.tobytes() == same.tobytes() != other.tobytes()
    first = np.asarray(one)[4 : 4 + SIDE, 4 : 4 + SIDE]
    assert np.array_equal(first, augment.whole(pictures[0]))
