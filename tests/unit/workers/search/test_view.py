import numpy as np
import pytest

from shared.types import Reference, ReferenceMatch, Relation
from tests.index_factories import DIMENSION, make_pdq, make_reference, make_set, make_sha256, make_vector
from tests.index_views import make_view
from tests.local_feature_factories import plane
from workers.closer_look.block_sketch import make_sketch
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.evidence import PictureNeededError, Sight, UnseenSight
from workers.closer_look.local_features import REFERENCE_FEATURES, extract, pack
from workers.search.ann_index import EXACT_LIMIT
from workers.search.live_segment import Probe
from workers.search.view import MATCHES_PER_SET, SMALL_SET, IndexView, looks_at_all

NO_SHA256 = "f" * 64
LIMITS = pytest.mark.parametrize("exact_limit", [EXACT_LIMIT, 0], ids=["exact", "codes"])


def look(
    view: IndexView, *, vector: int | None = None, pdq: int | None = None, sha256: str = NO_SHA256, quality: int = 100
) -> tuple[ReferenceMatch, ...]:
    """Search for the random picture with these seeds."""
    variants = () if pdq is None else (make_pdq(pdq),) * 8
    direction = None if vector is None else make_vector(vector)
    (found,) = view.search([view.probe(sha256, direction, variants, pdq_quality=quality)])
    return found


def references(count: int, **overrides: object) -> list[Reference]:
    return [make_reference(seed, **overrides) for seed in range(count)]


@LIMITS
@pytest.mark.parametrize("count", [1, 2, 40])
def test_each_measure_alone_finds_its_reference(count: int, exact_limit: int) -> None:
    view = make_view(references(count), exact_limit=exact_limit)
    for seed in range(count):
        for found in (look(view, vector=seed), look(view, pdq=seed), look(view, sha256=make_sha256(seed))):
            assert found[0].reference == f"r{seed}"
            assert found[0].matched
            assert found[0].relation is Relation.COPY


def test_an_empty_index_matches_nothing() -> None:
    view = make_view([])
    assert look(view, vector=0, pdq=0, sha256=make_sha256(0)) == ()
    assert (view.search([]), view.size, make_view(references(3)).size) == ([], 0, 3)
    assert make_view([], sets=[make_set("a")]).sets["a"].size == 0


def test_identical_bytes_score_100_on_every_scale() -> None:
    (match,) = look(make_view(references(3)), sha256=make_sha256(1))
    assert (match.score, match.raw_score, match.exact_score, match.similar_score) == (100.0, 100.0, 1.0, 1.0)
    assert match.name == "1.png"


def test_a_turned_picture_is_similar_and_not_exact() -> None:
    view = make_view(references(1))
    (found,) = view.search([view.probe(NO_SHA256, None, (make_pdq(77), make_pdq(0)))])
    assert found[0].matched
    assert found[0].exact_score < 0.5
    (upright,) = view.search([view.probe(NO_SHA256, None, (make_pdq(0), make_pdq(77)))])
    assert upright[0].exact_score > 0.99
    assert upright[0].score == found[0].score


def test_hashes_of_low_quality_are_no_evidence() -> None:
    view = make_view([make_reference(0, pdq_quality=49), make_reference(1)])
    assert look(view, pdq=0) == ()
    assert look(view, pdq=1, quality=49) == ()
    assert look(view, pdq=1, quality=50)[0].reference == "r1"


def test_a_blank_page_counts_by_its_bytes_only() -> None:
    view = make_view(references(2))
    blank = (make_vector(0), (make_pdq(0),) * 8)
    assert view.search([view.probe(NO_SHA256, *blank, low_information=True)]) == [()]
    (found,) = view.search([view.probe(make_sha256(0), *blank, low_information=True)])
    assert [match.score for match in found] == [100.0]


def test_rows_without_a_vector_are_asked_by_hash_alone() -> None:
    view = make_view(references(3))
    zero, none = np.zeros(DIMENSION, np.float32), np.full(DIMENSION, np.nan, np.float32)
    first, second, third = view.search(
        [
            view.probe(NO_SHA256, make_vector(0)),
            view.probe(NO_SHA256, zero, (make_pdq(1),) * 8),
            view.probe(make_sha256(2), none),
        ]
    )
    assert [first[0].reference, second[0].reference, third[0].reference] == ["r0", "r1", "r2"]
    assert second[0].raw_score == 0.0


def test_every_set_answers_with_its_own_threshold() -> None:
    sets = [make_set("strict", threshold=99.9), make_set("loose", threshold=60.0)]
    view = make_view([make_reference(0, set="strict"), make_reference(0, set="loose")], sets=sets)
    found = {match.set: match for match in look(view, vector=0)}
    assert not found["strict"].matched
    assert found["loose"].matched
    assert found["strict"].score == found["loose"].score


def test_a_larger_set_scores_the_same_picture_lower() -> None:
    small, large = make_view(references(1)), make_view(references(40))
    assert look(small, vector=0)[0].score > look(large, vector=0)[0].score


@LIMITS
def test_the_best_few_of_a_set_come_best_first(exact_limit: int) -> None:
    view = make_view(references(200), sets=[make_set(threshold=0.0)], exact_limit=exact_limit)
    found = look(view, vector=3)
    assert len(found) == MATCHES_PER_SET
    assert found[0].reference == "r3"
    assert [match.score for match in found] == sorted((match.score for match in found), reverse=True)
    cosines = {seed: float(make_vector(seed) @ make_vector(3)) for seed in range(200)}
    best = sorted(cosines, key=lambda seed: -cosines[seed])[:MATCHES_PER_SET]
    assert [match.reference for match in found] == [f"r{seed}" for seed in best]


def test_nothing_under_the_floor_is_reported() -> None:
    assert look(make_view(references(50)), vector=12345, pdq=12345) == ()


@LIMITS
def test_a_small_set_is_found_beside_a_large_one(exact_limit: int) -> None:
    crowd = [make_reference(0, set="crowd", reference=f"c{i}", sha256=make_sha256(i + 9)) for i in range(300)]
    view = make_view(
        [*crowd, make_reference(1, set="few")], sets=[make_set("crowd"), make_set("few")], exact_limit=exact_limit
    )
    assert [match.reference for match in look(view, vector=1)] == ["r1"]


def test_another_dimension_is_an_error() -> None:
    with pytest.raises(ValueError, match="dimensions"):
        make_view(references(3)).search([Probe(sha256=NO_SHA256, vector=np.ones(8, np.float32))])


def test_references_are_listed_by_set() -> None:
    view = make_view([make_reference(0, set="a"), make_reference(1, set="b")], sets=[make_set("a"), make_set("b")])
    assert [reference.reference for reference in view.references("b")] == ["r1"]
    assert view.references("c") == ()


@pytest.mark.parametrize(("shade", "relation"), [(128, Relation.COPY), (255, Relation.SAME_LAYOUT)])
def test_a_picture_with_the_same_hash_is_a_copy_unless_it_is_a_page(shade: int, relation: Relation) -> None:
    """The sketch is of another picture in the same place: block by block it says other content."""
    shown = np.full((384, 512), shade, np.uint8)
    shown[40:340, 40:260] = plane("dashboard", 1)[40:340, 40:260]
    other = shown.copy()
    other[40:340, 40:260] = plane("street_map", 2)[40:340, 40:260]
    features = pack(extract(shown, limit=REFERENCE_FEATURES), shipped_codebook())
    reference = make_reference(0, local=features, sketch=make_sketch(other))
    view = make_view([reference], sets=[make_set(threshold=0.0)])
    sight = Sight(shown, (512, 384), lambda: 0.0)
    (found,) = view.search([view.probe(NO_SHA256, make_vector(0), (make_pdq(0),) * 8, sight=sight)])
    assert [match.relation for match in found] == [relation]
    assert found[0].evidence is not None


def test_a_picture_made_white_with_the_reference_s_hash_is_a_copy_of_it() -> None:
    """Clipped highlights are no page's paper: the reference shows something everywhere."""
    shown = np.full((384, 512), 255, np.uint8)
    shown[40:340, 40:260] = plane("dashboard", 1)[40:340, 40:260]
    coarse = np.random.default_rng(1).integers(60, 200, (96, 128)).astype(np.uint8)
    whole = coarse.repeat(4, axis=0).repeat(4, axis=1)
    whole[40:340, 40:260] = plane("street_map", 2)[40:340, 40:260] // 2 + whole[40:340, 40:260] // 4
    features = pack(extract(shown, limit=REFERENCE_FEATURES), shipped_codebook())
    reference = make_reference(0, local=features, sketch=make_sketch(whole))
    view = make_view([reference], sets=[make_set(threshold=0.0)])
    sight = Sight(shown, (512, 384), lambda: 0.0)
    assert sight.paper
    (found,) = view.search([view.probe(NO_SHA256, make_vector(0), (make_pdq(0),) * 8, sight=sight)])
    assert [match.relation for match in found] == [Relation.COPY]


@pytest.mark.parametrize(
    ("size", "thorough", "spare", "looked", "cut_short"),
    [
        (3, None, True, True, False),
        (3, None, False, False, True),
        (3, False, True, False, False),
        (3, True, False, True, False),
        (SMALL_SET + 1, None, True, False, False),
    ],
)
def test_a_small_set_is_searched_closely_while_the_worker_keeps_up(
    size: int, thorough: bool | None, spare: bool, looked: bool, cut_short: bool
) -> None:
    shown = plane("dashboard", 1)
    features = pack(extract(shown, limit=REFERENCE_FEATURES), shipped_codebook())
    with_features = make_reference(size, local=features, sketch=make_sketch(shown))
    view = make_view([*references(size - 1), with_features], sets=[make_set(thorough=thorough)])
    sight = Sight(shown, (512, 384), lambda: 0.0, spare=spare)
    view.search([view.probe(NO_SHA256, make_vector(5_000), sight=sight)])
    assert (sight.looked, sight.cut_short) == (looked, cut_short)
    assert looks_at_all(view.sets, spare=spare) == looked


def test_what_nobody_looks_at_needs_no_plane_and_what_somebody_does_is_asked_for() -> None:
    view = make_view(references(3), sets=[make_set(thorough=False)])
    unseen = UnseenSight((512, 384), lambda: 0.0)
    view.search([view.probe(NO_SHA256, make_vector(5_000), sight=unseen)])
    with pytest.raises(PictureNeededError):
        view.search([view.probe(NO_SHA256, make_vector(1), sight=unseen)])
