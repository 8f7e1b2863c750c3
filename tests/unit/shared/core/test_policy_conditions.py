"""Whether the facts of one image satisfy what a policy asks."""

from typing import Any, Final, Literal

import pytest

from shared.core.policy_conditions import (
    Condition,
    HashListCondition,
    ImageCondition,
    ImageConditions,
    LabelCondition,
    SetCondition,
    is_proven,
)
from shared.errors import ErrorCode
from shared.types import HashHit, LabelScore, Matcher, ReferenceMatch, Relation
from tests.factories import SET, make_error_verdict, make_match, make_verdict

PASSPORT = LabelScore(classifier="documents", label="passport", score=91.0)


@pytest.mark.parametrize(
    ("condition", "match", "holds"),
    [
        ({}, {"matched": True}, True),
        ({}, {"matched": False}, False),
        ({}, {"set": "others"}, False),
        ({}, {"matched": True, "relation": Relation.SAME_LAYOUT}, True),
        ({"min_score": 90}, {"matched": True, "score": 89.9}, False),
        ({"min_score": 90}, {"matched": True, "score": 90.0}, True),
        ({"min_score": 70}, {"matched": False, "score": 71.0}, True),
        ({"min_score": 70}, {"matched": False, "score": 71.0, "relation": Relation.SAME_LAYOUT}, False),
        ({"min_score": 70}, {"matched": True, "score": 96.0, "relation": Relation.SAME_LAYOUT}, True),
        (
            {"min_score": 70, "relation": "any"},
            {"matched": False, "score": 71.0, "relation": Relation.SAME_LAYOUT},
            True,
        ),
        ({"relation": "any"}, {"matched": True}, True),
        ({"relation": "any"}, {"matched": False, "score": 84.9, "relation": Relation.SAME_LAYOUT}, False),
        ({"relation": "any"}, {"matched": False, "score": 85.0, "relation": Relation.SAME_LAYOUT}, True),
        ({"relation": "any"}, {"matched": False, "score": 99.0, "relation": Relation.COPY}, False),
        ({"relation": "same_layout"}, {"matched": True, "relation": Relation.COPY}, False),
        ({"relation": "copy"}, {"matched": True, "relation": Relation.SAME_LAYOUT}, False),
        ({"relation": "copy"}, {"matched": True, "relation": Relation.COPY}, True),
        ({"relation": "same_layout"}, {"matched": True, "relation": Relation.SAME_LAYOUT}, True),
        ({"relation": "copy", "min_score": 90}, {"score": 91.0, "relation": Relation.SAME_LAYOUT}, False),
        ({"relation": "copy", "min_score": 90}, {"matched": False, "score": 91.0}, True),
        ({"relation": "same_layout", "min_score": 97}, {"score": 96.0, "relation": Relation.SAME_LAYOUT}, False),
        (
            {"relation": "same_layout", "min_score": 97},
            {"matched": False, "score": 97.0, "relation": Relation.SAME_LAYOUT},
            True,
        ),
    ],
)
def test_set_condition(condition: dict[str, Any], match: dict[str, Any], holds: bool) -> None:
    verdict = make_verdict(matches=(make_match(**match),))
    assert (SetCondition(set=SET, **condition).fact(verdict) is not None) is holds


def test_set_condition_names_the_best_reference() -> None:
    matches = (make_match(reference="r-1", score=90.0), make_match(reference="r-2", score=97.5, name=""))
    fact = SetCondition(set=SET).fact(make_verdict(matches=matches))
    assert fact is not None
    assert (fact.set, fact.reference, fact.score) == (SET, "r-2", 97.5)
    assert fact.reason == "set designs: copy of r-2, score 97.5"


@pytest.mark.parametrize(
    ("matched_by", "proven"),
    [
        ((), False),
        ((Matcher.PDQ,), False),
        ((Matcher.ENCODER,), False),
        ((Matcher.ENCODER, Matcher.ENCODER), False),
        ((Matcher.BYTES,), True),
        ((Matcher.LOCAL,), True),
        ((Matcher.PDQ, Matcher.ENCODER), True),
    ],
)
def test_one_matcher_alone_proves_nothing_but_by_bytes_or_geometry(
    matched_by: tuple[Matcher, ...], proven: bool
) -> None:
    match = make_match(matched_by=matched_by)
    assert is_proven(match) is proven
    verdict = make_verdict(matches=(match,))
    assert SetCondition(set=SET).fact(verdict) is not None
    assert (SetCondition(set=SET).fact(verdict, proven=True) is not None) is proven


def test_a_proven_fact_names_the_reference_that_is_proven() -> None:
    forged = make_match(reference="r-1", score=99.0, matched_by=(Matcher.ENCODER,))
    real = make_match(reference="r-2", score=90.0, matched_by=(Matcher.LOCAL,))
    fact = SetCondition(set=SET).fact(make_verdict(matches=(forged, real)), proven=True)
    assert fact is not None
    assert fact.reference == "r-2"


@pytest.mark.parametrize(("kind", "proven"), [("pdq", False), ("md5", False), ("sha256", True)])
def test_of_a_hash_list_only_sha256_is_proof(kind: Literal["pdq", "md5", "sha256"], proven: bool) -> None:
    verdict = make_verdict(hash_hits=(HashHit(list="partner-x", kind=kind, distance=0),))
    assert (HashListCondition(list="partner-x").fact(verdict, proven=True) is not None) is proven


def test_a_label_is_never_proof() -> None:
    seen = make_verdict(labels=(PASSPORT,))
    assert LabelCondition(classifier="documents", label="passport").fact(seen, proven=True) is None
    assert LabelCondition(classifier="documents", label="other").fact(make_verdict(), proven=True) is None


@pytest.mark.parametrize(
    ("label", "labels", "holds"),
    [
        ("passport", (PASSPORT,), True),
        ("receipt", (PASSPORT,), False),
        ("passport", (), False),
        ("other", (), False),
        ("other", (PASSPORT,), False),
        ("other", (LabelScore(classifier="rooms", label="other", score=99.0),), False),
        ("other", (LabelScore(classifier="documents", label="other", score=99.0),), True),
    ],
)
def test_label_condition(label: str, labels: tuple[LabelScore, ...], holds: bool) -> None:
    condition = LabelCondition(classifier="documents", label=label)
    assert (condition.fact(make_verdict(labels=labels)) is not None) is holds


def test_hash_list_condition_names_the_nearest_hit() -> None:
    hits = tuple(HashHit(list="partner-x", kind="pdq", distance=distance) for distance in (20, 4))
    fact = HashListCondition(list="partner-x").fact(make_verdict(hash_hits=hits))
    assert fact is not None
    assert fact.reason == "hash list partner-x: pdq at distance 4"
    assert HashListCondition(list="partner-y").fact(make_verdict(hash_hits=hits)) is None


IN_SET: Condition = SetCondition(set=SET)
IN_OTHER_SET: Condition = SetCondition(set="public")
ANY_IMAGE: Condition = ImageCondition()


@pytest.mark.parametrize(
    ("groups", "holds"),
    [
        ({"any": (IN_SET, IN_OTHER_SET)}, True),
        ({"any": (IN_OTHER_SET,)}, False),
        ({"all": (IN_SET, ANY_IMAGE)}, True),
        ({"all": (IN_SET, IN_OTHER_SET)}, False),
        ({"none": (IN_OTHER_SET,)}, True),
        ({"none": (IN_OTHER_SET, IN_SET)}, False),
        ({"any": (IN_SET,), "none": (IN_OTHER_SET,)}, True),
        ({"any": (IN_SET,), "none": (IN_SET,)}, False),
        ({"any": (IN_SET,), "all": (IN_OTHER_SET,)}, False),
        ({"any": (ANY_IMAGE,), "all": (IN_SET,), "none": (IN_OTHER_SET,)}, True),
    ],
)
def test_groups_must_all_hold_for_the_same_image(groups: dict[str, tuple[Condition, ...]], holds: bool) -> None:
    verdict = make_verdict(matches=(make_match(),))
    assert (ImageConditions(**groups).fact(verdict) is not None) is holds


FORGED: Final = make_match(matched_by=(Matcher.ENCODER,))
REAL: Final = make_match(matched_by=(Matcher.LOCAL,))
FORGED_ELSEWHERE: Final = make_match(set="public", matched_by=(Matcher.ENCODER,))


@pytest.mark.parametrize(
    ("groups", "matches", "holds"),
    [
        ({"any": (IN_SET,)}, (FORGED,), False),
        ({"any": (IN_SET,)}, (REAL,), True),
        ({"any": (IN_SET, IN_OTHER_SET)}, (REAL, FORGED_ELSEWHERE), True),
        ({"all": (IN_SET, IN_OTHER_SET)}, (REAL, FORGED_ELSEWHERE), False),
        ({"any": (ANY_IMAGE, IN_SET)}, (FORGED,), True),
        ({"any": (IN_SET,), "none": (IN_OTHER_SET,)}, (REAL, FORGED_ELSEWHERE), False),
        ({"none": (IN_OTHER_SET,)}, (FORGED,), True),
    ],
)
def test_proof_is_asked_of_what_includes_an_image_not_of_what_excludes_it(
    groups: dict[str, tuple[Condition, ...]], matches: tuple[ReferenceMatch, ...], holds: bool
) -> None:
    verdict = make_verdict(matches=matches)
    assert (ImageConditions(**groups).fact(verdict, proven=True) is not None) is holds


def test_groups_report_the_best_score() -> None:
    conditions = ImageConditions(any=(ANY_IMAGE, IN_SET))
    fact = conditions.fact(make_verdict(matches=(make_match(score=93.0),)))
    assert fact is not None
    assert fact.score == 93.0


def test_conditions_without_any_condition_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ImageConditions()


@pytest.mark.parametrize(
    "conditions",
    [
        ImageConditions(none=(IN_SET,)),
        ImageConditions(any=(ANY_IMAGE,)),
        ImageConditions(any=(LabelCondition(classifier="documents", label="other"),)),
    ],
)
@pytest.mark.parametrize("code", [ErrorCode.CORRUPT, ErrorCode.NOT_AN_IMAGE, ErrorCode.TOO_LATE])
def test_nothing_follows_from_what_an_errored_verdict_does_not_say(
    conditions: ImageConditions, code: ErrorCode
) -> None:
    assert conditions.fact(make_error_verdict(code)) is None


def test_what_an_errored_verdict_says_counts() -> None:
    verdict = make_error_verdict(ErrorCode.ENCODER_UNAVAILABLE, matches=(make_match(),))
    assert ImageConditions(any=(IN_SET,)).fact(verdict) is not None


def test_a_degraded_verdict_proves_presence_and_never_absence() -> None:
    found = make_verdict(degraded=True, matches=(make_match(),))
    empty = make_verdict(degraded=True)
    absent = ImageConditions(none=(IN_OTHER_SET,))
    assert ImageConditions(any=(IN_SET,)).fact(found) is not None
    assert absent.fact(empty) is None
    assert absent.undecided(empty)
    assert not absent.undecided(make_verdict())
    assert not ImageConditions(any=(IN_SET,)).undecided(empty)
    assert ImageConditions(all=(LabelCondition(classifier="documents", label="other"),)).undecided(empty)


@pytest.mark.parametrize("group", ["any", "all", "none"])
def test_what_a_classifier_did_not_answer_stays_open(group: str) -> None:
    conditions = ImageConditions(**{group: (LabelCondition(classifier="documents", label="receipt"),)})
    assert conditions.classifiers == {"documents"}
    assert conditions.undecided(make_verdict())
    assert conditions.fact(make_verdict()) is None
    answered = make_verdict(labels=(LabelScore(classifier="documents", label="other", score=99.0),))
    assert not conditions.undecided(answered)
    assert (conditions.fact(answered) is not None) is (group == "none")
