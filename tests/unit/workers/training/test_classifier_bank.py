"""The classifiers' features can be fitted, written and read again, and the bank fits them."""

from pathlib import Path

import numpy as np

from workers.classifying.dense_features import COLOURS, EDGES
from workers.classifying.vectors import load_features
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
    words = fitted.words(SEEN[0].descriptors)
    assert read.words(SEEN[0].descriptors) @ words > 0.99
    joined = read.join(words, np.ones(EDGES, np.float32), np.ones(COLOURS, np.float32))
    assert joined.shape == (read.length,)


def test_a_projection_keeps_the_axes_along_which_there_is_most() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32) * np.array([1, 9, 1, 5], np.float32)
    kept = np.abs(project(vectors, 2).axes)
    assert kept.argmax(axis=0).tolist() == [1, 3]
