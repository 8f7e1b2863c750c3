"""Rows of pictures: every kind of one length, near for what looks alike, and a bank that fits them."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import EncoderUnavailableError, IntegrityError
from shared.types import DecodedFrame
from tests.factories import make_frame
from workers.classifying.bank import bank_path, load_bank, to_bytes, write_own_bank
from workers.classifying.dense_features import (
    COLOURS,
    EDGES,
    SHAPE_PLACES,
    TEXTURE_NOISE,
    TEXTURES,
    aggregate,
    colours,
    edges,
    grid_descriptors,
    shape,
    texture,
)
from workers.classifying.vectors import FEATURES, load_features, row_of, shipped_features, unit
from workers.encoders.files import list_encoders
from workers.training.drawing import draw

MODEL = shipped_features()
SIDE = 128


def frame_of(family: str, seed: int) -> DecodedFrame:
    picture = np.asarray(draw(family, seed, size=(320, 240)))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    pixels = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return make_frame(pixels=pixels.tobytes(), plane=grey.tobytes(), plane_size=(320, 240))


def test_what_looks_alike_is_nearer() -> None:
    pages = [MODEL.describe(frame_of("document_page", seed), SIDE) for seed in (1, 2)]
    poster = MODEL.describe(frame_of("poster", 1), SIDE)
    assert len(poster) == MODEL.length
    assert pages[0] @ pages[1] > pages[0] @ poster


def test_a_picture_without_a_plane_has_a_row() -> None:
    blank = make_frame(pixels=bytes(SIDE * SIDE * 3))
    row = row_of(np.eye(512, dtype=np.float32)[0], MODEL.describe(blank, SIDE), MODEL)
    assert np.isfinite(row).all()


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 255))
def test_any_plane_is_described(width: int, height: int, grey: int) -> None:
    plane = np.full((height, width), grey, np.uint8)
    descriptors = grid_descriptors(plane)
    assert descriptors.shape[1] == 128
    kinds = MODEL.kinds(descriptors, plane, np.full((SIDE, SIDE, 3), grey, np.uint8))
    assert np.isfinite(MODEL.join(kinds)).all()


def test_edges_and_colours_are_unit_vectors() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    of_plane = texture(pixels[:, :, 0])
    for vector, length in ((edges(pixels), EDGES), (colours(pixels), COLOURS), (of_plane, TEXTURES)):
        assert vector.shape == (length,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_stripes_have_another_texture_than_noise_and_plain_paper_has_but_one_pattern() -> None:
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 8), (256, 16))
    moved = np.roll(stripes, 5, axis=1)
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    assert texture(stripes) @ texture(moved) > 0.95
    assert texture(stripes) @ texture(noise) < 0.8
    paper = np.full((256, 256), 250, np.uint8) + np.arange(256, dtype=np.uint8) % TEXTURE_NOISE
    assert np.count_nonzero(texture(paper)) == 4  # lighter and darker, one a radius


def test_light_on_dark_has_another_texture_than_dark_on_light() -> None:
    dots = np.full((320, 320), 255, np.uint8)
    dots[4::8, 4::8] = 0
    lighter, darker = np.split(texture(dots), 4)[:2]
    assert np.array_equal(np.split(texture(255 - dots), 4)[:2], [darker, lighter])
    assert np.argmax(darker[1:]) != np.argmax(lighter[1:])


def test_a_turned_page_has_another_shape_and_a_cut_one_nearly_the_same() -> None:
    page, cut, turned = (shape(np.zeros(size, np.uint8)) for size in ((297, 210), (270, 210), (210, 297)))
    assert page @ cut > 0.9
    assert page @ turned < 0.6
    assert np.array_equal(turned, page[::-1])


@pytest.mark.parametrize("size", [(1, 512), (512, 1), (1, 1)])
def test_a_strip_has_a_shape(size: tuple[int, int]) -> None:
    found = shape(np.zeros(size, np.uint8))
    assert found.shape == (SHAPE_PLACES,)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_vlad_is_the_residuals_of_the_nearest_centres() -> None:
    centres = np.array([[0, 0], [10, 0]], np.float32)
    found = aggregate(np.array([[1, 0], [11, 0], [10, 4]], np.float32), centres)
    assert found == pytest.approx(unit(np.array([1, 0, 1, 2], np.float32)))


def test_the_bank_that_ships_fits_the_encoder_that_ships() -> None:
    card = list_encoders()[-1]
    for precision in card.files:
        bank = load_bank(bank_path(card, precision), MODEL)
        assert bank.rows.shape == (len(bank.ordinary), 512 + MODEL.length)
        assert 1000 < (bank.ordinary & bank.fits).sum() < bank.fits.sum()
        assert (bank.ordinary & ~bank.fits).sum() == (~bank.fits).sum() == 2000


def test_bytes_keep_a_vector_s_direction() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32))
    assert (unit(to_bytes(vectors).astype(np.float32)) * vectors).sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_a_bank_of_one_s_own_stands_beside_its_encoder(tmp_path: Path) -> None:
    card = replace(list_encoders()[-1], folder=tmp_path)
    noise = np.random.default_rng(2)
    described = [unit(vector.astype(np.float32)) for vector in noise.normal(size=(7, MODEL.length))]
    encoded = unit(noise.normal(size=(7, 64)).astype(np.float32))
    write_own_bank(card, described, {"fp32": encoded, "int8": encoded})
    for precision in ("fp32", "int8", "fp16"):
        found = load_bank(bank_path(card, precision), MODEL)
        assert found.rows.shape == (7, 64 + MODEL.length)
        assert found.ordinary.all()
        assert found.fits.all()
        assert (unit(found.rows[:, :64]) * encoded).sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_an_encoder_without_a_bank_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailableError, match=r"no bank of other pictures.*safelight encoder bank NAME"):
        load_bank(tmp_path / "other.npy", MODEL)
    np.save(tmp_path / "other.npy", np.zeros((3, 512), np.int8))
    with pytest.raises(EncoderUnavailableError, match="do not fit each other"):
        load_bank(tmp_path / "other.npy", MODEL)


def test_broken_features_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "features.npz"
    broken.write_bytes(FEATURES.read_bytes()[:1000])
    for path in (broken, tmp_path / "missing.npz"):
        with pytest.raises(IntegrityError, match="cannot be read"):
            load_features(path)
