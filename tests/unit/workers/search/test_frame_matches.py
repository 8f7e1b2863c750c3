"""Of each reference the best frame counts, and is named."""

from tests.factories import make_image_info, make_match
from workers.search.frame_matches import best_over_frames, unprotected
from workers.search.view import MATCHES_PER_SET


def test_the_only_frame_s_matches_stay_as_they_are() -> None:
    matches = (make_match(reference="b", score=90.0), make_match(reference="a", score=90.0))
    assert best_over_frames([0], [matches]) == matches
    assert [match.frame for match in best_over_frames([3], [matches])] == [3, 3]


def test_the_higher_score_counts_and_the_earlier_frame_of_equals() -> None:
    low, high = (make_match(score=score) for score in (86.0, 97.0))
    (best,) = best_over_frames([0, 4, 9], [(low,), (high,), (high,)])
    assert (best.score, best.frame) == (97.0, 4)


def test_what_counts_as_a_match_wins_over_what_does_not() -> None:
    layout = make_match(score=99.0, matched=False)
    (best,) = best_over_frames([0, 1], [(layout,), (make_match(score=88.0),)])
    assert (best.matched, best.frame) == (True, 1)


def test_references_and_sets_stay_apart_and_the_best_come_first() -> None:
    first = (make_match(reference="a", score=88.0), make_match(set="other", reference="a", score=86.0))
    second = (make_match(reference="b", score=93.0),)
    found = [(match.set, match.reference, match.frame) for match in best_over_frames([0, 1], [first, second])]
    assert found == [("designs", "b", 1), ("designs", "a", 0), ("other", "a", 0)]


def test_a_set_has_as_many_matches_as_with_one_frame() -> None:
    found = [[make_match(reference=str(number), score=80.0 + number)] for number in range(MATCHES_PER_SET + 3)]
    best = best_over_frames(range(len(found)), found)
    assert [match.reference for match in best] == ["7", "6", "5", "4", "3"]


def test_what_is_not_protected_is_told() -> None:
    assert unprotected(make_image_info()) == ()
    (warning,) = unprotected(make_image_info(frames=12))
    assert warning.startswith("frames: one of 12 ")
