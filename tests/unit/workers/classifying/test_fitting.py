"""From examples to a classifier: what it names, what it refuses, and what the bank's size changes: nothing."""

import numpy as np
import pytest

from shared.errors import UsageError
from tests.classifier_factories import SPACE, make_bank, make_classifier, make_examples, make_rows
from workers.classifying.bank import Bank
from workers.classifying.fitting import Recipe, fit
from workers.classifying.model import OTHER

RECIPE = Recipe(name="documents", thresholds={}, mode="best")


def test_unseen_pictures_are_named_and_others_are_not() -> None:
    classifier = make_classifier("receipt", "invoice")
    assert classifier.labels == ("invoice", "receipt")
    receipts = classifier.scores(make_rows(100, 0, seed=5))
    assert ((receipts[:, 1] >= 85) & (receipts.argmax(axis=1) == 1)).mean() > 0.8
    others = np.concatenate([make_rows(100, axis, seed=6) for axis in range(4, 16)])
    assert (classifier.scores(others).max(axis=1) >= 85).mean() < 0.015


def test_the_answer_does_not_depend_on_how_large_the_bank_is() -> None:
    examples = make_examples("receipt", make_rows(20, 0))
    once, tenfold = (fit(RECIPE, examples, make_bank(times=times), SPACE, 0.0) for times in (1, 10))
    rows = np.concatenate([make_rows(50, axis, seed=7) for axis in (0, 4, 8)])
    assert np.abs(once.scores(rows) - tenfold.scores(rows)).max() < 10
    agree = (once.scores(rows) >= 85) == (tenfold.scores(rows) >= 85)
    assert agree.mean() > 0.98


def test_the_rates_are_held_out_and_have_intervals() -> None:
    (receipt,) = make_classifier("receipt").rates.labels
    assert receipt.examples == 20
    assert 18 <= receipt.clusters <= 20  # two of the rows may lie as near as pictures of a burst
    assert receipt.true_positives.share > 0.85
    assert receipt.true_positives.interval.low < 0.9
    assert receipt.false_positives.share <= 0.01


def test_a_label_of_too_few_pictures_is_refused() -> None:
    with pytest.raises(UsageError, match="label receipt has 4 images; at least 5"):
        fit(RECIPE, make_examples("receipt", make_rows(4, 0)), make_bank(), SPACE, 0.0)


def test_a_negative_overwrites() -> None:
    receipts = make_examples("receipt", make_rows(20, 0))
    near = make_rows(20, 0, seed=8)
    near[:, 2] += 1.2
    tested = make_rows(50, 0, seed=9)
    tested[:, 2] += 1.2
    before = fit(RECIPE, receipts, make_bank(), SPACE, 0.0).scores(tested)
    after = fit(RECIPE, (*receipts, *make_examples(OTHER, near)), make_bank(), SPACE, 0.0).scores(tested)
    assert (before >= 85).mean() > 0.5
    assert (after >= 85).mean() < 0.1


def test_documents_of_the_bank_that_show_the_label_do_not_argue_with_it() -> None:
    bank = make_bank(axes=range(4, 16))
    showing = np.concatenate([bank.rows, make_rows(30, 0, seed=10)])
    every = np.ones(len(showing), np.bool_)
    mixed = Bank(rows=showing, ordinary=np.arange(len(showing)) < len(bank.rows), fits=every)
    classifier = fit(RECIPE, make_examples("receipt", make_rows(20, 0)), mixed, SPACE, 0.0)
    assert (classifier.scores(make_rows(50, 0, seed=11)) >= 85).mean() > 0.6


def test_a_label_of_one_burst_is_fitted_all_the_same() -> None:
    row = make_rows(1, 0)
    burst = make_examples("receipt", np.repeat(row, 6, axis=0))
    (receipt,) = fit(RECIPE, burst, make_bank(), SPACE, 0.0).rates.labels
    assert (receipt.clusters, receipt.true_positives.share) == (1, 1.0)
    assert receipt.true_positives.interval.low < 0.05


def test_photographs_that_are_only_counted_move_the_scores_and_not_the_head() -> None:
    bank, examples = make_bank(), make_examples("receipt", make_rows(20, 0))
    alike = make_rows(40, 0, seed=12)
    alike[:, 2] += 1.2
    every = np.ones(len(bank.rows) + len(alike), np.bool_)
    fits = np.arange(len(every)) < len(bank.rows)
    counting = Bank(rows=np.concatenate([bank.rows, alike]), ordinary=every, fits=fits)
    before, after = (fit(RECIPE, examples, each, SPACE, 0.0) for each in (bank, counting))
    assert np.array_equal(before.head.weights, after.head.weights)
    assert after.rates.false_positives.tried == len(every)
    assert (before.scores(alike) >= 85).mean() > 0.5
    assert (after.scores(alike) >= 85).mean() < 0.1
