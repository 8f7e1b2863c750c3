"""What converted embeddings are worth: recall, honest scores, views, where the truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from shared.core.matching import Calibration, Curve
from tests.converter_factories import rotation
from workers.classifying.vectors import unit
from workers.training.conversion_figures import (
    SCORE,
    Enrolled,
    agreement,
    false_share,
    fit_flips,
    fit_scale,
    measure,
    native,
    queries_of,
    unrelated,
    view_cosines,
)
from workers.training.conversion_pictures import Seen

PICTURES, VIEWS, EDITS, LENGTH = 60, 3, 4, 64
COSINE = Curve(xs=(0.0, 0.3, 1.0), ys=(-0.3, -6.0, -12.0))
CALIBRATION = Calibration(cosine=COSINE, views=COSINE, pdq=Curve(xs=(0.0, 128.0), ys=(-10.0, 0.0)))


@pytest.fixture
def seen() -> Seen:
    """Pictures around one direction, as all are a little alike, and their views and copies around each."""
    rng = np.random.default_rng(3)
    pictures = rng.normal(size=(PICTURES, 1, LENGTH))
    pictures[:, :, 0] += 3
    source = unit(pictures + 0.6 * rng.normal(size=(PICTURES, 1 + VIEWS + EDITS, LENGTH)))
    return Seen(source=source, target=source @ rotation(LENGTH, LENGTH), views=VIEWS)


def blurred(seen: Seen, towards: float) -> Enrolled:
    """References whose vectors were pulled towards what all have in common."""
    return replace(native(seen), whole=unit(seen.target[:, 0] + towards * seen.target[:, 0].mean(axis=0)), codes=None)


def test_native_references_are_found(seen: Seen) -> None:
    found = measure(native(seen), queries_of(seen), CALIBRATION)
    assert found.cosines.shape == found.scores.shape == (PICTURES * EDITS, PICTURES)
    assert found.at_rank_1 > 0.95
    assert found.found > 0.5
    assert found.own.tolist()[: EDITS + 1] == [0] * EDITS + [1]


def test_shuffled_references_are_not(seen: Seen) -> None:
    mixed = Enrolled(whole=np.roll(seen.target[:, 0], 1, axis=0), codes=None)
    assert measure(mixed, queries_of(seen), CALIBRATION).at_rank_1 < 0.1


def test_views_speak_for_a_reference(seen: Seen) -> None:
    without = replace(native(seen), codes=None)
    nothing = measure(replace(without, whole=0 * without.whole), queries_of(seen), CALIBRATION)
    views = measure(replace(native(seen), whole=0 * without.whole), queries_of(seen), CALIBRATION)
    assert nothing.found == 0.0
    assert (views.matching >= nothing.matching).all()
    assert views.found > 0.1
    best = view_cosines(seen.target[0, 1:2], native(seen).codes[:1])  # type: ignore[index]
    assert best.tolist() == [[1.0]]


def test_the_scale_makes_unrelated_pairs_as_rare_as_native_ones(seen: Seen) -> None:
    queries, pairs = queries_of(seen), unrelated(seen)
    discounts = np.zeros(PICTURES * EDITS)
    expected = measure(replace(native(seen), codes=None), queries, CALIBRATION)
    assert fit_scale(expected, expected, discounts, pairs) == pytest.approx(1.0, abs=1e-3)
    towards = blurred(seen, 0.5)
    nearer = measure(towards, queries, CALIBRATION)
    scale = fit_scale(nearer, expected, discounts, pairs)
    assert scale < 0.95
    in_line = measure(replace(towards, whole=towards.whole * np.float32(scale)), queries, CALIBRATION)
    assert false_share(nearer, pairs) > 1.5 * false_share(expected, pairs)
    assert false_share(in_line, pairs) == pytest.approx(false_share(expected, pairs), rel=0.4)
    assert in_line.at_rank_1 == nearer.at_rank_1


def test_too_few_pairs_leave_cosines_as_they_are(seen: Seen) -> None:
    few = seen.part(slice(0, 3))
    found = measure(native(few), queries_of(few), CALIBRATION)
    assert fit_scale(found, found, np.zeros(12), unrelated(few)) == 1.0


def test_bits_are_turned_until_unrelated_views_come_no_nearer(seen: Seen) -> None:
    codes, pairs = native(seen).codes, unrelated(seen)
    assert codes is not None
    assert not fit_flips(codes, seen, pairs).any()
    common = (seen.target.mean(axis=(0, 1)) > 0)[None, None]
    nearer = codes.copy()
    nearer[:, :, ::2] = common[:, :, ::2]
    flips = fit_flips(nearer, seen, pairs)
    assert 0 < flips.sum() <= LENGTH // 4
    queries = queries_of(seen).reshape(-1, LENGTH)
    before, after, wanted = (
        np.quantile(view_cosines(queries, each)[pairs], [0.99, 0.997]).mean()
        for each in (nearer, nearer ^ flips, codes)
    )
    assert before > wanted
    assert after < before


def test_pictures_of_one_thing_are_not_unrelated(seen: Seen) -> None:
    twice = replace(seen, target=np.concatenate([seen.target, seen.target[:1]]))
    pairs = unrelated(twice)
    assert pairs.shape == ((PICTURES + 1) * EDITS, PICTURES + 1)
    assert not pairs[:EDITS, [0, PICTURES]].any()
    assert pairs[:EDITS, 1:PICTURES].mean() > 0.99


def test_scores_are_set_side_by_side(seen: Seen) -> None:
    expected = measure(native(seen), queries_of(seen), CALIBRATION)
    lines = agreement(expected, expected)
    assert list(lines) == ["the same", "median", "a tenth is below", "a tenth is above"]
    assert lines["the same"] == ((0.0, 0.0), (100.0, 100.0))
    assert all(
        below <= middle <= above
        for (_, below), (_, middle), (_, above) in zip(
            lines["a tenth is below"], lines["median"], lines["a tenth is above"], strict=True
        )
    )
    assert max(y for _, y in lines["median"]) > SCORE
