import numpy as np
import pytest

from shared.errors import IntegrityError
from tests.index_factories import DIMENSION, ENCODER, make_reference, make_vector
from tests.local_feature_factories import plane
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.feature_index import LARGEST
from workers.closer_look.local_features import REFERENCE_FEATURES, extract, pack
from workers.encoders.embeddings import to_bytes
from workers.search.segment import Segment, check_reference


def test_rows_lie_set_by_set_whatever_the_order() -> None:
    references = [
        make_reference(1, set="b"),
        make_reference(2, set="a", vectors=(to_bytes(make_vector(2)), to_bytes(make_vector(3)))),
        make_reference(4, set="b"),
    ]
    segment = Segment.build(references)
    assert [reference.reference for reference in segment.references] == ["r2", "r1", "r4"]
    assert segment.set_names == ("a", "b")
    assert segment.starts.tolist() == [0, 2, 3, 4]
    assert segment.set_of_row.tolist() == [0, 0, 1, 1]
    assert segment.sizes.tolist() == [1, 2]
    assert segment.owner.tolist() == [0, 0, 1, 2]
    assert [segment.references.number(*key) for key in (("a", "r2"), ("b", "r1"), ("b", "r4"), ("a", "r1"))] == [
        0,
        1,
        2,
        None,
    ]


def test_the_best_of_several_vectors_counts() -> None:
    vectors = (to_bytes(make_vector(1)), to_bytes(make_vector(2)))
    segment = Segment.build([make_reference(0, vectors=vectors), make_reference(1, vectors=())])
    cosines = segment.cosines(np.array([0, 1]), make_vector(2))
    assert cosines[0] == pytest.approx(1.0, abs=1e-3)
    assert np.isnan(cosines[1])
    assert np.isnan(segment.cosines(np.array([0]), None)).all()


def test_an_empty_segment_is_one() -> None:
    segment = Segment.build(())
    assert segment.set_names == ()
    assert segment.references.identical("f" * 64) == []
    assert segment.cosines(np.empty(0, np.intp), make_vector(0)).tolist() == []


def test_identical_images_in_two_sets_are_both_known() -> None:
    segment = Segment.build([make_reference(1, set="a"), make_reference(1, set="b")])
    assert segment.references.identical(make_reference(1).sha256) == [0, 1]


def test_vectors_of_this_encoder_pass() -> None:
    assert check_reference(make_reference(1), encoder=ENCODER, dimension=None) == DIMENSION
    assert check_reference(make_reference(1, vectors=()), encoder=ENCODER, dimension=None) is None


@pytest.mark.parametrize(
    "overrides",
    [
        {"encoder": "another"},
        {"vectors": (to_bytes(make_vector(1, dimension=8)),)},
        {"vectors": (b"abc",)},
        {"vectors": (b"",)},
        {"vectors": (to_bytes(np.full(DIMENSION, np.nan, np.float32)),)},
        {"vectors": (to_bytes(np.full(DIMENSION, np.inf, np.float32)),)},
    ],
)
def test_other_vectors_are_refused(overrides: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        check_reference(make_reference(1, **overrides), encoder=ENCODER, dimension=DIMENSION)


def test_local_features_past_the_limit_are_counted_and_not_searched() -> None:
    packed = pack(extract(plane("dashboard", 1), limit=REFERENCE_FEATURES), shipped_codebook())
    few = Segment.build([make_reference(0, local=packed), make_reference(1)])
    assert few.features is not None
    assert few.unsearched == 0
    assert Segment.build([make_reference(0)]).features is None
    crowd = [make_reference(0, set="a", reference=f"{n:06}", vectors=()) for n in range(LARGEST)]
    full = Segment.build([*crowd, make_reference(1, set="b", local=packed, vectors=())])
    assert full.features is None
    assert full.unsearched == 1
