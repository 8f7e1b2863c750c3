"""A closer look: what is found is evidence, what is not found says something where there was enough to find."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from tests.local_feature_factories import cropped, picture, plane, plane_of
from workers.closer_look.block_sketch import make_sketch
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.evidence import Finding, Sight, examine
from workers.closer_look.local_features import REFERENCE_FEATURES, extract, pack

FAMILY = "dashboard"
FOREVER = float("inf")


@cache
def kept(seed: int) -> tuple[bytes, bytes]:
    """What a reference's enrolment keeps for the closer look."""
    features = extract(plane(FAMILY, seed), limit=REFERENCE_FEATURES)
    return pack(features, shipped_codebook()), make_sketch(plane(FAMILY, seed))


def sight_of(image_plane: np.ndarray[tuple[int, int], np.dtype[np.uint8]], scale: int = 1) -> Sight:
    height, width = image_plane.shape
    return Sight(image_plane, (width * scale, height * scale), lambda: 0.0)


def test_a_crop_is_found_shown_and_a_copy() -> None:
    sight = sight_of(plane_of(cropped(picture(FAMILY, 1), 0.4)), scale=2)
    finding = examine(sight, *kept(1))
    assert finding.geometry is not None
    assert finding.strength > np.log(10)
    assert finding.copy > 0.5
    evidence = finding.evidence(sight.image_size, sight.plane_size)
    assert evidence is not None
    assert evidence.inliers == finding.geometry.inliers
    left, top, right, bottom = evidence.region
    assert 0 <= left < right <= sight.image_size[0] + 2
    assert 0 <= top < bottom <= sight.image_size[1] + 2
    assert right - left > sight.plane_size[0]  # in pixels of the image, not of the plane
    assert evidence.agreement is not None
    assert evidence.agreement > 0.5


def test_only_a_whole_upright_picture_is_asked_for_what_changed() -> None:
    whole = examine(sight_of(plane(FAMILY, 1)), *kept(1))
    assert whole.exact is not None
    assert whole.exact > 0
    turned = np.ascontiguousarray(np.rot90(plane(FAMILY, 1)))
    cut = plane_of(cropped(picture(FAMILY, 1), 0.6))
    assert examine(sight_of(turned), *kept(1)).exact is None
    assert examine(sight_of(cut), *kept(1)).exact is None


def test_a_mirrored_picture_is_found_too() -> None:
    finding = examine(sight_of(np.ascontiguousarray(plane(FAMILY, 1)[:, ::-1])), *kept(1))
    assert finding.geometry is not None
    assert finding.geometry.mirrored


def test_another_picture_with_features_enough_says_no() -> None:
    finding = examine(sight_of(plane("street_map", 5)), *kept(1))
    assert finding.geometry is None
    assert finding.told
    assert finding.strength == 0.0
    assert finding.evidence((10, 10), (10, 10)) is None


def test_an_empty_picture_says_nothing() -> None:
    assert examine(sight_of(np.full((300, 400), 200, np.uint8)), *kept(1)) == Finding()


def test_without_a_sketch_the_inside_is_not_compared() -> None:
    finding = examine(sight_of(plane(FAMILY, 1)), kept(1)[0], b"")
    assert finding.geometry is not None
    assert finding.agreement is None
    evidence = finding.evidence((512, 384), (512, 384))
    assert evidence is not None
    assert evidence.agreement is None


@pytest.mark.parametrize(("now", "expected"), [(4.9, True), (5.0, False)])
def test_time_runs_out(now: float, expected: bool) -> None:
    assert Sight(plane(FAMILY, 1), (1, 1), lambda: now, 5.0).in_time() is expected


def test_features_are_looked_for_once_however_many_ask_at_once() -> None:
    sight = sight_of(plane(FAMILY, 1))
    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(lambda _: sight.features, range(4)))
    assert all(each is seen[0] for each in seen)
    assert sight.looked


def test_features_that_are_known_are_not_looked_for() -> None:
    known = extract(plane(FAMILY, 2))
    sight = Sight(plane(FAMILY, 1), (512, 384), lambda: 0.0, features=known)
    assert not sight.looked
    sight.look()
    assert sight.features is known
    assert sight.looked
