"""What a closer look saw is kept, and tells the same of what is not there."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.inspection_doubles import StillClock
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.evidence import Finding, PictureNeededError, Sight, place
from workers.closer_look.kept_look import KeptSight, pack_look
from workers.closer_look.local_features import extract, pack
from workers.training.drawing import draw


def sight_of(family: str, seed: int) -> Sight:
    grey = draw(family, seed, size=(640, 480)).convert("L").resize((512, 384), Image.Resampling.BOX)
    return Sight(np.asarray(grey), (640, 480), StillClock().monotonic)


def local(family: str, seed: int) -> bytes:
    return pack(extract(sight_of(family, seed).plane), shipped_codebook())


def test_nothing_is_kept_where_nobody_looked_or_not_to_the_end() -> None:
    sight = sight_of("poster", 1)
    assert pack_look(None) == pack_look(sight) == b""
    assert len(sight.features)
    assert pack_look(sight)
    sight.cut_short = True
    assert pack_look(sight) == b""


def test_what_was_seen_comes_back_nearly_as_it_was() -> None:
    sight = sight_of("poster", 1)
    features = sight.features
    look = pack_look(sight)
    assert len(look) <= 29_000
    kept = KeptSight(look)
    assert (kept.image_size, kept.plane_size, kept.paper) == ((640, 480), (512, 384), sight.paper)
    assert kept.features.plane_size == features.plane_size
    assert np.array_equal(kept.features.points, features.points)
    assert np.linalg.norm(kept.features.descriptors - features.descriptors, axis=1).max() < 0.03
    assert kept.in_time()
    with pytest.raises(PictureNeededError):
        _ = kept.plane


@pytest.mark.parametrize("family", ["poster", "document_page", "dashboard"])
def test_it_finds_what_is_there_and_nothing_else(family: str) -> None:
    sight = sight_of(family, 1)
    assert len(sight.features)
    kept = KeptSight(pack_look(sight))
    for seed in range(1, 5):
        now, again = place(sight, local(family, seed)), place(kept, local(family, seed))
        assert (again.geometry is not None, again.told) == (now.geometry is not None, now.told)
    assert place(kept, local(family, 1)).geometry is not None


def test_a_plane_without_features_is_kept_as_such() -> None:
    blank = Sight(np.full((100, 100), 128, np.uint8), (100, 100), StillClock().monotonic)
    assert len(blank.features) == 0
    kept = KeptSight(pack_look(blank))
    assert len(kept.features) == 0
    assert place(kept, local("poster", 1)) == Finding(told=False)
