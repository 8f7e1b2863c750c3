import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shared.errors import IntegrityError
from tests.local_feature_factories import lattice, plane
from workers.closer_look.codebook import DIMENSION, shipped_codebook
from workers.closer_look.local_features import (
    IMAGE_FEATURES,
    REFERENCE_FEATURES,
    LocalFeatures,
    extract,
    mirrored,
    pack,
    unpack,
)


def make_features(count: int = 10, *, plane_size: tuple[int, int] = (512, 384), seed: int = 1) -> LocalFeatures:
    rng = np.random.default_rng(seed)
    points = np.column_stack(
        (
            rng.uniform(0, plane_size[0] - 1, count),
            rng.uniform(0, plane_size[1] - 1, count),
            rng.uniform(2, 60, count),
            rng.uniform(0, 360, count),
        )
    )
    descriptors = np.sqrt(rng.dirichlet(np.ones(DIMENSION), count))
    return LocalFeatures(
        points=points.astype(np.float32), descriptors=descriptors.astype(np.float32), plane_size=plane_size
    )


def test_features_are_the_strongest_of_the_plane() -> None:
    features = extract(plane("poster", 1))
    assert 100 < len(features) <= IMAGE_FEATURES
    assert features.plane_size == (512, 384)
    assert np.allclose(np.linalg.norm(features.descriptors, axis=1), 1, atol=1e-3)
    assert (features.points[:, 0] < 512).all()
    assert (features.points[:, 1] < 384).all()
    fewer = extract(plane("poster", 1), limit=50)
    assert np.array_equal(fewer.points, features.points[:50])


def test_the_same_plane_has_the_same_features() -> None:
    one, other = extract(plane("floor_plan", 2)), extract(plane("floor_plan", 2).copy())
    assert np.array_equal(one.points, other.points)
    assert np.array_equal(one.descriptors, other.descriptors)


@pytest.mark.parametrize("family", ["poster", "dashboard", "circuit"])
def test_two_threads_see_what_one_sees(family: str) -> None:
    one, two = extract(plane(family, 3)), extract(plane(family, 3), threads=2)
    assert np.array_equal(one.points, two.points)
    assert np.array_equal(one.descriptors, two.descriptors)


@pytest.mark.parametrize(
    "nothing",
    [
        np.empty((0, 0), np.uint8),
        np.empty((0, 512), np.uint8),
        np.zeros((1, 1), np.uint8),
        np.zeros((11, 512), np.uint8),
        np.full((512, 512), 255, np.uint8),
        np.full((300, 400), 128, np.uint8),
    ],
    ids=["empty", "no row", "a pixel", "a thin strip", "white", "grey"],
)
def test_a_plane_that_shows_nothing_has_no_features(nothing: np.ndarray) -> None:
    assert len(extract(nothing)) == 0
    assert len(mirrored(extract(nothing))) == 0


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.float32), np.zeros((513, 100), np.uint8)],
    ids=["colour", "floats", "too large"],
)
def test_what_is_no_plane_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a plane is"):
        extract(wrong)


@pytest.mark.parametrize("period", [6, 8, 16])
def test_a_lattice_has_no_more_features_than_any_picture(period: int) -> None:
    assert len(extract(lattice(period))) <= IMAGE_FEATURES


def test_features_of_the_mirror_image_need_no_second_look() -> None:
    upright = plane("abstract", 3)
    expected = extract(np.ascontiguousarray(upright[:, ::-1]))
    computed = mirrored(extract(upright))
    nearest = (computed.descriptors @ expected.descriptors.T).argmax(1)
    apart = np.hypot(*(computed.points - expected.points[nearest])[:, :2].T)
    turned = np.abs((computed.points - expected.points[nearest])[:, 3] + 180) % 360 - 180
    same = apart < 2
    assert same.mean() > 0.8
    assert np.median(np.abs(turned[same])) < 2


def test_mirroring_twice_changes_nothing() -> None:
    features = make_features(50)
    again = mirrored(mirrored(features))
    assert np.allclose(again.points, features.points, atol=1e-3)
    assert np.array_equal(again.descriptors, features.descriptors)


@settings(deadline=None, max_examples=30)
@given(
    count=st.integers(0, REFERENCE_FEATURES + 20),
    width=st.integers(1, 512),
    height=st.integers(1, 512),
    seed=st.integers(0, 2**32 - 1),
)
def test_packing_keeps_what_it_states(count: int, width: int, height: int, seed: int) -> None:
    features = make_features(count, plane_size=(width, height), seed=seed)
    packed = pack(features, shipped_codebook())
    coded = unpack(packed, shipped_codebook())
    kept = features.points[:REFERENCE_FEATURES]
    assert coded.plane_size == (width, height)
    assert np.abs(coded.points[:, :2] - kept[:, :2]).max(initial=0) <= 1 / 128 + 1e-4
    assert np.abs(np.log2(coded.points[:, 2] / kept[:, 2])).max(initial=0) <= 1 / 40 + 1e-4
    assert np.abs((coded.points[:, 3] - kept[:, 3] + 180) % 360 - 180).max(initial=0) <= 360 / 512 + 1e-3
    assert np.array_equal(coded.codes, shipped_codebook().encode(features.descriptors[:REFERENCE_FEATURES]))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=400))
def test_other_bytes_are_an_integrity_error_or_features_of_this_codebook(payload: bytes) -> None:
    try:
        coded = unpack(payload, shipped_codebook())
    except IntegrityError:
        return
    assert len(coded) <= REFERENCE_FEATURES
    assert np.isfinite(coded.points).all()


@settings(deadline=None, max_examples=30)
@given(points=arrays.arrays(np.float32, (5, 4), elements=st.floats(-1e6, 1e6, width=32)))
def test_hostile_points_pack_to_something_that_is_checked(points: np.ndarray) -> None:
    features = make_features(5)
    odd = LocalFeatures(points=points, descriptors=features.descriptors, plane_size=(512, 384))
    packed = pack(odd, shipped_codebook())
    assert len(packed) == len(pack(features, shipped_codebook()))


def changed(packed: bytes, at: int, form: str, value: int) -> bytes:
    head = struct.pack(form, value)
    return packed[:at] + head + packed[at + len(head) :]


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda packed: packed[:0],
        lambda packed: packed[:7],
        lambda packed: packed[:-1],
        lambda packed: packed + b"\0",
        lambda packed: changed(packed, 0, "<B", 2),
        lambda packed: changed(packed, 1, "<H", shipped_codebook().name ^ 1),
        lambda packed: changed(packed, 3, "<H", 0),
        lambda packed: changed(packed, 3, "<H", 513),
        lambda packed: changed(packed, 5, "<H", 65535),
        lambda packed: changed(packed, 7, "<B", 255),
        lambda packed: changed(packed, 8, "<H", 65535),
    ],
    ids=[
        "nothing",
        "half a header",
        "cut",
        "longer",
        "another form",
        "another codebook",
        "no width",
        "too wide",
        "too high",
        "too many features",
        "a feature outside",
    ],
)
def test_corrupt_features_are_named(corrupt: Callable[[bytes], bytes]) -> None:
    packed = pack(make_features(), shipped_codebook())
    with pytest.raises(IntegrityError):
        unpack(corrupt(packed), shipped_codebook())
