from dataclasses import asdict

import pytest

from shared.types import ReferenceMatch
from tests.factories import make_match, make_verdict
from workers.migration.comparing import Tally, compare, summed, tally_from


def match(name: str, score: float, *, matched: bool) -> ReferenceMatch:
    return make_match(set=name, score=score, matched=matched)


def tally_of(old: tuple[ReferenceMatch, ...], new: tuple[ReferenceMatch, ...]) -> Tally:
    return compare(make_verdict(matches=old), make_verdict(matches=new))


HIGH, LOW = match("designs", 95.0, matched=True), match("designs", 70.0, matched=False)


@pytest.mark.parametrize(
    ("old", "new", "outcome", "difference"),
    [
        ((HIGH,), (HIGH,), "both", 0.0),
        ((HIGH,), (LOW,), "old_only", 25.0),
        ((HIGH,), (), "old_only", 95.0),
        ((LOW,), (HIGH,), "new_only", 25.0),
        ((LOW,), (), "neither", 70.0),
    ],
)
def test_each_set_is_counted_by_who_found_it(
    old: tuple[ReferenceMatch, ...], new: tuple[ReferenceMatch, ...], outcome: str, difference: float
) -> None:
    tally = tally_of(old, new)
    counts = asdict(tally.sets["designs"])
    assert counts[outcome] == tally.sets["designs"].compared == 1
    assert (counts["difference"], counts["largest"]) == (difference, difference)
    assert tally.agreeing == (outcome in ("both", "neither"))


def test_of_several_matches_of_a_set_the_best_counts() -> None:
    lesser = match("designs", 99.0, matched=False)
    assert tally_of((lesser, HIGH), (HIGH,)).sets["designs"].both == 1


def test_what_is_inside_a_container_counts_too() -> None:
    inside = make_verdict(matches=(), images=(make_verdict(matches=(HIGH,)),))
    assert compare(inside, make_verdict(matches=(HIGH,))).sets["designs"].both == 1


def test_tallies_add_up_and_come_through_the_store() -> None:
    one = tally_of((HIGH, match("plans", 90.0, matched=True)), (HIGH,))
    both = summed([one, tally_of((LOW,), (HIGH,)), tally_of((), ())])
    assert (both.images, both.agreeing) == (3, 1)
    assert both.agreement == pytest.approx(1 / 3)
    assert (both.sets["designs"].both, both.sets["designs"].new_only, both.sets["plans"].old_only) == (1, 1, 1)
    assert (both.sets["designs"].difference, both.sets["designs"].largest) == (25.0, 25.0)
    assert tally_from(asdict(both)) == both
    assert summed([]).agreement == 1.0
