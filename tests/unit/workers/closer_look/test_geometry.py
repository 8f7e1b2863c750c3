import itertools
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from shared.errors import IntegrityError
from tests.local_feature_factories import (
    cropped,
    lattice,
    mirrored_picture,
    pasted,
    picture,
    plane,
    plane_of,
    recompressed,
    turned,
)
from workers.closer_look.codebook import shipped_codebook
from workers.closer_look.geometry import FEWEST_INLIERS, Geometry, verify
from workers.closer_look.local_features import REFERENCE_FEATURES, LocalFeatures, extract, pack

type Edit = Callable[[Image.Image], Image.Image]

DRAWING = ("poster", 1)


def packed(family: str, seed: int) -> bytes:
    return pack(extract(plane(family, seed), limit=REFERENCE_FEATURES), shipped_codebook())


def compare(image: Image.Image, *, mirror: bool = False, drawing: tuple[str, int] = DRAWING) -> Geometry | None:
    return verify(extract(plane_of(image)), packed(*drawing), shipped_codebook(), mirror=mirror)


def mapped(geometry: Geometry, x: float, y: float) -> list[float]:
    return [float(value) for value in geometry.matrix @ (x, y, 1)]


def test_the_same_picture_agrees_everywhere() -> None:
    geometry = compare(picture(*DRAWING))
    assert geometry is not None
    assert geometry.inliers > 60
    assert geometry.weight == geometry.inliers
    assert geometry.matrix == pytest.approx(np.array(((1, 0, 0), (0, 1, 0))), abs=0.2)
    assert geometry.image_region == (0, 0, 512, 384)
    assert geometry.reference_region == (0, 0, 100, 100)
    assert geometry.coverage > 0.99
    assert geometry.words() == "the whole reference"


@pytest.mark.parametrize("seed", range(3))
def test_a_crop_says_which_part_it_is(seed: int) -> None:
    image = picture(*DRAWING)
    box = (100 + 40 * seed, 60, 100 + 40 * seed + 256, 60 + 192)
    geometry = compare(image.crop(box))
    assert geometry is not None
    expected = (box[0] / 5.12, box[1] / 3.84, box[2] / 5.12, box[3] / 3.84)
    assert geometry.reference_region == pytest.approx(expected, abs=2)
    assert geometry.coverage == pytest.approx(0.25, abs=0.02)
    assert geometry.image_region == (0, 0, 256, 192)
    assert geometry.words().startswith(f"{geometry.coverage * 100:.0f} % of the reference (left ")


@pytest.mark.parametrize("degrees", [-90, -30, 17, 45, 90, 135, 180])
def test_a_turn_is_told_in_degrees_clockwise(degrees: float) -> None:
    geometry = compare(turned(picture(*DRAWING), -degrees))
    assert geometry is not None
    linear = geometry.matrix[:, :2]
    told = np.degrees(np.arctan2(linear[1, 0], linear[0, 0]))
    assert (told - degrees + 180) % 360 - 180 == pytest.approx(0, abs=1)
    assert ("anticlockwise" in geometry.words()) == (degrees < 0) or abs(degrees) == 180
    assert "turned" in geometry.words()


def test_a_mirror_image_has_a_negative_determinant() -> None:
    geometry = compare(mirrored_picture(picture(*DRAWING)), mirror=True)
    assert geometry is not None
    assert geometry.mirrored
    assert np.linalg.det(geometry.matrix[:, :2]) == pytest.approx(-1, abs=0.02)
    assert mapped(geometry, 0, 0) == pytest.approx([511, 0], abs=1)
    assert geometry.words() == "the whole reference, mirrored"


def test_mirrored_and_turned_both_are_told() -> None:
    geometry = compare(turned(mirrored_picture(picture(*DRAWING)), -90), mirror=True)
    assert geometry is not None
    assert geometry.words().startswith("the whole reference, turned 9")
    assert "clockwise, mirrored" in geometry.words()


def test_an_image_that_is_not_mirrored_does_not_agree_mirrored() -> None:
    assert compare(picture(*DRAWING), mirror=True) is None


def test_a_paste_says_where_it_lies() -> None:
    image = picture(*DRAWING)
    geometry = compare(pasted(image, 0.3, seed=4))
    assert geometry is not None
    left, top, right, bottom = geometry.image_region
    assert (right - left) / (bottom - top) == pytest.approx(4 / 3, abs=0.1)
    assert geometry.coverage > 0.95
    assert "scaled to" in geometry.words()


def test_squashing_is_told_by_both_axes() -> None:
    geometry = compare(picture(*DRAWING).resize((512, 288)))
    assert geometry is not None
    assert "100 % across and 75 % down" in geometry.words()


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: cropped(image, 0.15, 5),
        lambda image: pasted(image, 0.15, 2),
        lambda image: recompressed(image, 25),
        lambda image: image.resize((160, 120)),
        lambda image: recompressed(cropped(image, 0.5).resize((320, 240)), 35),
    ],
    ids=["crop 15", "paste 15", "jpeg 25", "small", "many"],
)
@pytest.mark.parametrize("drawing", [("poster", 1), ("whiteboard", 0)])
def test_edited_pictures_verify(drawing: tuple[str, int], edit: Edit) -> None:
    geometry = compare(edit(picture(*drawing)), drawing=drawing)
    assert geometry is not None
    assert geometry.inliers >= FEWEST_INLIERS + 2


def test_unrelated_pictures_do_not_verify() -> None:
    families = ("abstract", "circuit", "floor_plan", "poster", "product_render", "street_map")
    references = [packed(family, 7) for family in families]
    images = [extract(plane(family, 7)) for family in families]
    for (one, image), (other, reference) in itertools.product(enumerate(images), enumerate(references)):
        for mirror in (False, True):
            geometry = verify(image, reference, shipped_codebook(), mirror=mirror)
            assert one == other or geometry is None or geometry.inliers < FEWEST_INLIERS + 3


def test_rarity_weighs_inliers() -> None:
    features = extract(plane(*DRAWING))
    rarity = np.full(len(features), 0.25, np.float32)
    geometry = verify(features, packed(*DRAWING), shipped_codebook(), mirror=False, rarity=rarity)
    assert geometry is not None
    assert geometry.weight == pytest.approx(geometry.inliers / 4)


def test_the_answer_is_always_the_same() -> None:
    image = turned(cropped(picture(*DRAWING), 0.4), 25)
    one, other = compare(image), compare(image)
    assert one is not None
    assert other is not None
    assert np.array_equal(one.matrix, other.matrix)
    assert (one.inliers, one.words()) == (other.inliers, other.words())


@pytest.mark.parametrize("period", [8, 12])
def test_a_lattice_makes_no_more_inliers_than_features(period: int) -> None:
    dots = lattice(period)
    coded = pack(extract(dots, limit=REFERENCE_FEATURES), shipped_codebook())
    geometry = verify(extract(np.ascontiguousarray(dots[10:, 20:])), coded, shipped_codebook(), mirror=False)
    assert geometry is None or geometry.inliers <= REFERENCE_FEATURES


def test_features_on_one_spot_or_line_prove_nothing() -> None:
    features = extract(plane(*DRAWING), limit=60)
    for columns in ([0], [1], [0, 1]):
        points = features.points.copy()
        points[:, columns] = 50
        flat = LocalFeatures(points=points, descriptors=features.descriptors, plane_size=features.plane_size)
        assert verify(flat, pack(flat, shipped_codebook()), shipped_codebook(), mirror=False) is None


@pytest.mark.parametrize("matrix", [((1, 0), (0, 0.2)), ((0.1, 0), (0, 0.1)), ((1, 1.2), (0, 1)), ((1, 0), (0, -1))])
def test_transforms_no_edit_makes_are_refused(matrix: list[list[float]]) -> None:
    features = extract(plane(*DRAWING), limit=60)
    points = features.points.copy()
    points[:, :2] = points[:, :2] @ np.array(matrix, np.float32).T + (0, 200)
    moved = LocalFeatures(points=points, descriptors=features.descriptors, plane_size=(512, 512))
    coded = pack(features, shipped_codebook())
    assert verify(moved, coded, shipped_codebook(), mirror=False) is None


def test_nothing_verifies_against_nothing() -> None:
    empty = extract(np.zeros((64, 64), np.uint8))
    coded = pack(empty, shipped_codebook())
    assert verify(extract(plane(*DRAWING)), coded, shipped_codebook(), mirror=False) is None
    assert verify(empty, packed(*DRAWING), shipped_codebook(), mirror=True) is None


def test_corrupt_references_are_named() -> None:
    with pytest.raises(IntegrityError):
        verify(extract(plane(*DRAWING)), packed(*DRAWING)[:-3], shipped_codebook(), mirror=False)
