"""The convex head: it finds the one minimum, and a class counts once however many rows it has."""

import numpy as np
import pytest

from tests.classifier_factories import make_rows
from workers.classifying.head import class_weights, fit_head

ROWS = np.concatenate([make_rows(40, axis) for axis in (5, 0, 1)])
CLASSES = np.repeat(np.arange(3), 40)


def test_labels_are_told_apart_and_from_other() -> None:
    head = fit_head(ROWS, CLASSES, 3, ridge=0.01)
    margins = head.margins(np.concatenate([make_rows(50, axis, seed=1) for axis in (5, 0, 1)]))
    assert (margins[:50].max(axis=1) < 0).mean() > 0.95
    assert (margins[50:100].argmax(axis=1) == 0).mean() > 0.95
    assert (margins[100:].argmax(axis=1) == 1).mean() > 0.95


def test_the_gradient_vanishes_where_the_fit_ends() -> None:
    head = fit_head(ROWS, CLASSES, 3, ridge=0.01)
    logits = ROWS @ head.weights + head.bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = odds / odds.sum(axis=1, keepdims=True) - np.eye(3)[CLASSES]
    gradient = ROWS.T @ (error * class_weights(CLASSES, 3)[:, None]) + 0.01 * head.weights
    assert np.abs(gradient).max() < 1e-3


def test_a_class_given_ten_times_is_the_same_class() -> None:
    once = fit_head(ROWS, CLASSES, 3, ridge=0.01)
    tenfold = np.concatenate([np.tile(ROWS[:40], (10, 1)), ROWS[40:]])
    classes = np.concatenate([np.zeros(400, np.intp), CLASSES[40:]])
    again = fit_head(tenfold, classes, 3, ridge=0.01)
    assert np.abs(once.margins(ROWS) - again.margins(ROWS)).max() < 0.02


def test_where_a_similar_fit_ended_is_as_good_a_start() -> None:
    head = fit_head(ROWS, CLASSES, 3, ridge=0.01)
    again = fit_head(ROWS, CLASSES, 3, ridge=0.01, start=head)
    assert np.abs(head.margins(ROWS) - again.margins(ROWS)).max() < 0.02


def test_every_class_needs_a_row() -> None:
    with pytest.raises(ValueError, match="needs a row"):
        fit_head(ROWS, np.zeros(len(ROWS), np.intp), 2, ridge=0.01)
