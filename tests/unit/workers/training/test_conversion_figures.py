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
    Strangers,
    agreement,
    false_share,
    fit_flips,
    fit_scale,
    measure,
    native,
    queries_of,
    strangers,
    unrelated,
    view_cosines,
)
from workers.training.conversion_pictures import Seen, Vectors

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
    others = Strangers(vectors=queries.reshape(-1, LENGTH), pairs=pairs)
    wholes = native(seen).whole
    assert fit_scale(wholes, wholes, others, CALIBRATION) == pytest.approx(1.0, abs=1e-3)
    towards = blurred(seen, 0.5)
    scale = fit_scale(towards.whole, wholes, others, CALIBRATION)
    assert scale < 0.95
    expected = measure(replace(native(seen), codes=None), queries, CALIBRATION)
    nearer = measure(towards, queries, CALIBRATION)
    in_line = measure(replace(towards, whole=towards.whole * np.float32(scale)), queries, CALIBRATION)
    assert false_share(nearer, pairs) > 1.5 * false_share(expected, pairs)
    assert false_share(in_line, pairs) == pytest.approx(false_share(expected, pairs), rel=0.4)
    assert in_line.at_rank_1 == nearer.at_rank_1


def test_what_counts_is_the_rarest_that_can_be_told(seen: Seen) -> None:
    """References that come nearer to everything, but to what looks like them no nearer than native ones."""
    rng = np.random.default_rng(5)
    pictures = rng.normal(size=(4000, LENGTH))
    pictures[:, 0] += 3
    anything = unit(pictures) @ rotation(LENGTH, LENGTH)
    wholes, towards = native(seen).whole, blurred(seen, 0.5).whole
    alike = unit(np.repeat(wholes, 2, axis=0) + 0.5 * unit(rng.normal(size=(2 * PICTURES, LENGTH))))

    def scale(queries: Vectors) -> float:
        pairs = np.ones((len(queries), PICTURES), np.bool_)
        return fit_scale(towards, wholes, Strangers(vectors=queries, pairs=pairs), CALIBRATION)

    assert scale(anything) < 0.95
    assert scale(np.concatenate([anything, alike])) > 0.99


def test_pictures_that_were_trained_on_are_strangers_to_all_but_themselves(seen: Seen) -> None:
    both = strangers(seen.part(slice(0, 20)), seen.part(slice(10, 40)))
    assert both.vectors.shape == (20 * EDITS + 30 * (1 + VIEWS + EDITS), LENGTH)
    assert both.pairs.shape == (len(both.vectors), 20)
    first = 20 * EDITS
    assert not both.pairs[first, 10], "the same picture"
    assert both.pairs[first, :10].all()


def test_too_few_pairs_leave_cosines_as_they_are(seen: Seen) -> None:
    few = seen.part(slice(0, 3))
    others = Strangers(vectors=queries_of(few).reshape(-1, LENGTH), pairs=unrelated(few))
    assert fit_scale(native(few).whole, native(few).whole, others, CALIBRATION) == 1.0


def test_bits_are_turned_until_unrelated_views_come_no_nearer(seen: Seen) -> None:
    codes, pairs = native(seen).codes, unrelated(seen)
    assert codes is not None
    others = Strangers(vectors=queries_of(seen).reshape(-1, LENGTH), pairs=pairs)
    assert not fit_flips(codes, seen, others).any()
    common = (seen.target.mean(axis=(0, 1)) > 0)[None, None]
    nearer = codes.copy()
    nearer[:, :, ::2] = common[:, :, ::2]
    flips = fit_flips(nearer, seen, others)
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
