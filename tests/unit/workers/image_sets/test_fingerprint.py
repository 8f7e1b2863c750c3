"""What is kept of an image that is to be protected."""

from dataclasses import replace

import numpy as np
import pytest

from tests.factories import make_frame, make_image_info
from tests.local_feature_factories import plane
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.local_features import REFERENCE_FEATURES, extract, pack
from workers.decoding.pixels import plane_of
from workers.image_sets.fingerprint import Fingerprint, look

GREY = plane("poster", 1)
FRAME = make_frame(plane=GREY.tobytes(), plane_size=(GREY.shape[1], GREY.shape[0]))


def make_fingerprint() -> Fingerprint:
    seen = look(FRAME)
    return Fingerprint(
        sha256="a" * 64,
        info=make_image_info(),
        pdq=FRAME.pdq,
        pdq_quality=90,
        vectors=(b"vector",),
        encoder="encoder-1",
        local=seen.local,
        sketch=seen.sketch,
        plane=FRAME.plane,
        plane_size=FRAME.plane_size,
        features=seen.features,
    )


def test_a_frame_without_a_plane_shows_nothing() -> None:
    seen = look(make_frame())
    assert (seen.local, seen.sketch, seen.features) == (b"", b"", None)
    assert replace(make_fingerprint(), plane=b"").sight() is None


def test_features_are_looked_for_once_for_both_uses() -> None:
    seen = look(FRAME)
    assert seen.features is not None
    assert seen.local == pack(extract(GREY, limit=REFERENCE_FEATURES), shipped_codebook())
    np.testing.assert_array_equal(seen.features.points, extract(GREY).points)
    sight = make_fingerprint().sight()
    assert sight is not None
    assert not sight.looked
    kept = make_fingerprint().features
    assert kept is not None
    np.testing.assert_array_equal(sight.features.descriptors, kept.descriptors)
    np.testing.assert_array_equal(sight.plane, plane_of(FRAME))
    assert sight.looked


@pytest.mark.parametrize(("quality", "kept"), [(49, ""), (50, "a" * 64)])
def test_a_hash_that_tells_nothing_is_not_kept(quality: int, kept: str) -> None:
    reference = replace(make_fingerprint(), pdq_quality=quality).as_reference("r1", set_name="designs")
    assert (reference.pdq, reference.name, reference.set) == (kept, "r1", "designs")


def test_of_an_empty_picture_only_its_bytes_are_kept() -> None:
    empty = replace(make_fingerprint(), info=make_image_info(low_information=True))
    reference = empty.as_reference("r1", set_name="designs", name="blank.png")
    assert (reference.pdq, reference.vectors, reference.local, reference.sketch) == ("", (), b"", b"")
    assert (reference.sha256, reference.name) == ("a" * 64, "blank.png")
