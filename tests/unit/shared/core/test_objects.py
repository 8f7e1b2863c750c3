from __future__ import annotations

from shared.core.objects import MAX_ID, MAX_IMAGES, MAX_MATCHES, recalled, remember, store_key
from shared.types import ObjectName, UninspectedReason
from tests.factories import make_judgement, make_match, make_verdict

NAME = ObjectName(app="drive", id="1aB")


def test_keys_tell_app_scope_and_id_apart_and_hold_no_id() -> None:
    names = [
        NAME,
        ObjectName(app="box", id="1aB"),
        ObjectName(app="drive", id="1ab"),
        ObjectName(app="drive", id="B", scope="1a"),
        ObjectName(app="drive", id="", scope="1aB"),
        ObjectName(app="drive", id="x" * 100_000),
    ]
    keys = [store_key(name) for name in names]
    assert len(set(keys)) == len(keys)
    assert all("1a" not in key[: len("object/drive/")] and len(key) < 100 for key in keys)


def test_the_best_matches_are_kept_without_what_only_an_analyst_needs() -> None:
    matches = tuple(make_match(reference=str(score), score=float(score)) for score in range(MAX_MATCHES + 3))
    verdict = make_verdict(matches=matches, timings_ms={"decode": 3.0})
    known = remember([make_judgement(verdict=verdict)], 17.0)
    (image,) = known.images
    assert image.verdict is not None
    kept = image.verdict
    assert [match.score for match in kept.matches] == [float(score) for score in range(MAX_MATCHES + 2, 2, -1)]
    assert all(match.evidence is None for match in kept.matches)
    assert (kept.timings_ms, known.learnt, kept.sha256) == ({}, 17.0, verdict.sha256)


def test_of_many_images_the_ones_that_matched_are_kept() -> None:
    plain = [make_judgement(locator=str(number), verdict=make_verdict(matches=())) for number in range(MAX_IMAGES)]
    last = make_judgement(locator="last", verdict=make_verdict(matches=(make_match(),)))
    known = remember([*plain, last], 0.0)
    assert len(known.images) == MAX_IMAGES
    assert known.images[0].locator == "last"


def test_what_could_not_be_judged_then_is_not_judged_now() -> None:
    late = make_judgement(verdict=None, uninspected=UninspectedReason.TIMEOUT)
    (image,) = recalled(NAME, remember([late], 0.0))
    assert (image.uninspected, image.verdict) == (UninspectedReason.TIMEOUT, None)


def test_an_object_that_nobody_has_seen() -> None:
    (image,) = recalled(ObjectName(app="drive", id="x" * 2 * MAX_ID), None)
    assert image.uninspected is UninspectedReason.UNKNOWN_OBJECT
    assert image.locator == "object:" + "x" * MAX_ID
