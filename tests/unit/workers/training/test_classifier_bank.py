"""The classifiers' features can be fitted, written and read again, and the bank fits them."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workers.classifying.vectors import KINDS, load_features
from workers.training.classifier_bank import (
    CENTRES,
    LENGTHS,
    PER_SOURCE,
    Part,
    fit_features,
    pictures,
    project,
    see,
    write_features,
)
from workers.training.dataset import Item
from workers.training.drawing import draw
from workers.training.drawing.plain import draw_plain

SEEN = [
    see(Item(source=source, group="", image=draw(family, seed, size=(160, 120 + 20 * seed))), 128)
    for seed in range(3)
    for family, source in (("poster", "photos/own"), ("document_page", "classes/own"), ("circuit", "drawn"))
]


def test_documents_are_for_the_projections_alone_and_drawings_are_not_ordinary() -> None:
    assert [(one.other, one.ordinary) for one in SEEN[1:3]] == [(False, True), (True, False)]


@pytest.mark.parametrize("part", ["axes", "bank", "counted"])
def test_no_photograph_is_in_the_bank_that_the_projections_were_fitted_on(part: Part) -> None:
    item = Item(source="photos/own", group="", image=draw("poster", 1, size=(160, 120)))
    seen = see(item, 128, part=part)
    assert (seen.fits, seen.other, seen.ordinary) == (part == "axes", part != "axes", True)


def test_false_positives_are_not_counted_on_pictures_of_nothing() -> None:
    seen = see(Item(source="plain", group="clouds", image=draw_plain("clouds", 0)), 128, part="bank")
    assert (seen.other, seen.ordinary) == (True, False)


def test_what_an_even_share_of_a_source_leaves_is_counted_and_not_fitted(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    sizes = {"large": 700, "small": 20}
    for source, size in sizes.items():
        with tarfile.open(tmp_path / "photos" / f"{source}.tar", "w") as tar:
            for number in range(size):
                picture = io.BytesIO()
                Image.new("RGB", (16, 16), (number % 256, number // 256, len(source))).save(picture, "JPEG")
                member = tarfile.TarInfo(f"class/{number}.jpg")
                member.size = picture.tell()
                picture.seek(0)
                tar.addfile(member, picture)
    parts = Counter((item.source, part) for item, part in pictures(tmp_path) if item.source.startswith("photos/"))
    even = parts["photos/large", "axes"], parts["photos/large", "bank"]
    assert even == (PER_SOURCE, PER_SOURCE)
    assert 700 * 0.65 < parts["photos/large", "counted"] + 2 * PER_SOURCE < 700 * 0.85  # but a quarter, held out
    assert parts["photos/small", "counted"] == 0


def test_the_projections_are_those_of_the_pictures_that_fit_alone() -> None:
    item = Item(source="photos/own", group="", image=draw("poster", 1, size=(160, 120)))
    alone, beside = fit_features(SEEN), fit_features([*SEEN, see(item, 128, part="bank")])
    assert np.array_equal(alone.projections["edges"].axes, beside.projections["edges"].axes)


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
    spreads = project(vectors, 3, whitened=True).apply(vectors).std(axis=0)
    assert np.abs(spreads / spreads[0] - 1).max() < 0.05


def test_a_projection_keeps_the_axes_along_which_there_is_most() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32) * np.array([1, 9, 1, 5], np.float32)
    kept = np.abs(project(vectors, 2).axes)
    assert kept.argmax(axis=0).tolist() == [1, 3]


def test_fewer_pictures_than_values_have_the_same_axes() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 39)).astype(np.float32) * np.linspace(
        1, 9, 39, dtype=np.float32
    )
    padded = np.concatenate([vectors, np.zeros((40, 200), np.float32)], axis=1)
    few, many = project(padded, 5, whitened=True), project(vectors, 5, whitened=True)
    assert np.abs(np.abs(few.axes[:39]) - np.abs(many.axes)).max() < 1e-3
    assert np.abs(few.axes[39:]).max() < 1e-3
