"""The classifiers' features can be fitted, written and read again, and the bank fits them."""

from pathlib import Path

import numpy as np

from workers.classifying.vectors import KINDS, load_features
from workers.training.classifier_bank import CENTRES, LENGTHS, fit_features, project, see, write_features
from workers.training.dataset import Item
from workers.training.drawing import draw

SEEN = [
    see(Item(source=source, group="", image=draw(family, seed, size=(160, 120))), 128)
    for seed in range(3)
    for family, source in (("poster", "photos/own"), ("document_page", "classes/own"), ("circuit", "drawn"))
]


def test_documents_are_for_the_codebook_alone_and_drawings_are_not_ordinary() -> None:
    assert [(one.other, one.ordinary) for one in SEEN[:3]] == [(True, True), (False, True), (True, False)]


def test_what_is_fitted_is_read_again(tmp_path: Path) -> None:
    fitted = fit_features(SEEN)
    write_features(fitted, tmp_path / "features.npz")
    read = load_features(tmp_path / "features.npz")
    assert read.centres.shape == (CENTRES, LENGTHS["descriptor"])
    assert len(read.name) == 8
    before, after = SEEN[0].described(fitted), SEEN[0].described(read)
    assert after.shape == (read.length,)
    assert before @ after > 0.99 * len(KINDS)


def test_whitened_axes_have_equal_spread() -> None:
    vectors = np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32) * np.array([1, 9, 4], np.float32)
    spreads = project(vectors, 3, 1.0).apply(vectors).std(axis=0)
    assert np.abs(spreads / spreads[0] - 1).max() < 0.01


def test_a_projection_keeps_the_axes_along_which_there_is_most() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32) * np.array([1, 9, 1, 5], np.float32)
    kept = np.abs(project(vectors, 2).axes)
    assert kept.argmax(axis=0).tolist() == [1, 3]
