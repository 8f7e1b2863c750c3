"""Block sketches: what agrees, what does not, what fits, and what hostile bytes and transforms may cause."""

import io
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from shared.errors import IntegrityError
from workers.closer_look.block_raster import Matrix, Plane
from workers.closer_look.block_sketch import (
    LARGEST_SKETCH,
    MOST_BYTES,
    NOTHING_COMPARABLE,
    compare,
    make_sketch,
    read_sketch,
)
from workers.decoding.pixels import canonical, grey_plane
from workers.training.drawing import FAMILIES, draw

UPRIGHT = np.eye(2, 3)


def plane_of(image: Image.Image) -> Plane:
    return np.asarray(grey_plane(canonical(image, 1)))


def page(seed: int = 1, family: str = "document_page") -> Image.Image:
    return draw(family, seed, size=(600, 800))


@cache
def page_and_sketch() -> tuple[Plane, bytes]:
    plane = plane_of(page())
    return plane, make_sketch(plane)


def through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def scaling(first: Plane, second: Plane) -> Matrix:
    across, down = (b / a for a, b in zip(first.shape[::-1], second.shape[::-1], strict=True))
    return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5]])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sketch_fits_and_its_own_picture_agrees(family: str) -> None:
    plane = plane_of(page(3, family))
    sketch = make_sketch(plane)
    found = compare(plane, sketch, UPRIGHT)
    assert len(sketch) <= LARGEST_SKETCH
    assert found.comparable == math.prod(read_sketch(sketch).blocks)
    assert min(found.share, found.content_share) >= 0.95
    assert abs(found.gain - 1) < 0.05


@pytest.mark.parametrize("size", [(360, 270), (420, 315), (480, 360), (500, 375)])
@pytest.mark.parametrize("family", ["circuit", "floor_plan"])
def test_thin_lines_agree_with_themselves_at_any_number_of_pixels_a_block(family: str, size: tuple[int, int]) -> None:
    picture = draw(family, 1, size=size)
    plane, saved = plane_of(picture), plane_of(through_jpeg(picture, 85))
    found = compare(saved, make_sketch(plane), UPRIGHT)
    assert (found.patches, found.differing) == (0, 0.0)
    assert found.content_share >= 0.98


@pytest.mark.parametrize("family", FAMILIES)
def test_another_picture_of_the_family_differs(family: str) -> None:
    sketch = make_sketch(plane_of(page(3, family)))
    assert compare(plane_of(page(4, family)), sketch, UPRIGHT).content_share <= 0.2


def test_a_turned_smaller_recompressed_picture_agrees_through_its_transform() -> None:
    image = page()
    plane = plane_of(image)
    turned = plane_of(through_jpeg(image.resize((400, 533)).rotate(90, expand=True), 60))
    height, width = plane.shape
    across, down = turned.shape[1] / height, turned.shape[0] / width
    matrix = np.array([[0, across, across / 2 - 0.5], [-down, 0, down * (width - 0.5) - 0.5]])
    assert compare(turned, make_sketch(plane), matrix).content_share >= 0.9


def test_a_mirrored_inverted_picture_agrees_with_a_negative_gain() -> None:
    plane = plane_of(page())
    mirrored = np.ascontiguousarray(255 - plane[:, ::-1])
    found = compare(mirrored, make_sketch(plane), np.array([[-1.0, 0, plane.shape[1] - 1], [0, 1, 0]]))
    assert found.content_share >= 0.95
    assert found.gain < -0.9


def test_a_transform_two_pixels_off_is_put_right() -> None:
    plane = plane_of(page())
    shifted = np.array([[1, 0, 2.0], [0, 1, -1.5]])
    assert compare(plane, make_sketch(plane), shifted).content_share >= 0.95


def test_a_patch_differs_in_one_place_and_half_another_picture_all_over() -> None:
    image = page()
    sketch = make_sketch(plane_of(image))
    patched = image.copy()
    ImageDraw.Draw(patched).ellipse((200, 250, 360, 410), fill=(255, 210, 0), outline=(0, 0, 0), width=6)
    mixed = image.copy()
    mixed.paste(page(2).crop((0, 400, 600, 800)), (0, 400))
    patch, half = (compare(plane_of(edited), sketch, UPRIGHT) for edited in (patched, mixed))
    assert half.content_share < 0.75 < patch.content_share < 1
    assert patch.spread < half.spread
    assert patch.differing < half.differing


def test_a_quarter_of_the_size_is_compared_coarsely_and_a_sixteenth_not_at_all() -> None:
    image = page()
    plane = plane_of(image)
    sketch = make_sketch(plane)
    quarter, sixteenth = (plane_of(image.resize((600 // by, 800 // by), Image.Resampling.BOX)) for by in (8, 24))
    found = compare(quarter, sketch, scaling(plane, quarter))
    assert not found.fine
    assert found.content_share >= 0.8
    assert compare(sixteenth, sketch, scaling(plane, sixteenth)) == NOTHING_COMPARABLE


def test_only_blocks_inside_the_image_are_compared() -> None:
    plane = plane_of(page())
    crop = np.ascontiguousarray(plane[100:300, 100:250])
    found = compare(crop, make_sketch(plane), np.array([[1.0, 0, -100], [0, 1, -100]]))
    assert 60 <= found.comparable <= 150
    assert found.content_share >= 0.9


def test_blank_pages_have_no_content_to_agree_on() -> None:
    blank = np.full((512, 362), 250, np.uint8)
    found = compare(blank, make_sketch(blank), UPRIGHT)
    assert (found.content, found.share, found.differing) == (0, 1, 0)
    assert len(make_sketch(blank)) < 40
    assert compare(plane_of(page()), make_sketch(blank), UPRIGHT).content_share < 0.05


@settings(deadline=None)
@given(st.binary(max_size=MOST_BYTES + 10))
def test_foreign_bytes_are_named(sketch: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_sketch(sketch)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_damaged_bytes_are_named_or_read(data: st.DataObject) -> None:
    sketch = bytearray(page_and_sketch()[1])
    for _ in range(data.draw(st.integers(1, 3))):
        sketch[data.draw(st.integers(0, len(sketch) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_sketch(bytes(sketch[: data.draw(st.integers(len(sketch) - 2, len(sketch)))]))
    except IntegrityError:
        return
    assert np.isfinite(found.values).all()


@given(st.lists(st.floats(width=64), min_size=6, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_transform_is_survived(numbers: list[float]) -> None:
    plane, sketch = page_and_sketch()
    found = compare(plane, sketch, np.array(numbers).reshape(2, 3))
    assert 0 <= found.share <= 1
    assert math.isfinite(found.gain)


@pytest.mark.parametrize("shape", [(1, 1), (1, 512), (512, 1), (7, 9), (240, 100)])
def test_planes_of_any_size(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    sketch = make_sketch(plane)
    assert compare(plane, sketch, UPRIGHT).share >= 0.9
    assert read_sketch(sketch).width == shape[1]


def test_noise_fits_too() -> None:
    plane = np.random.default_rng(2).integers(0, 2, (512, 512), np.uint8) * np.uint8(255)
    assert len(make_sketch(plane)) <= MOST_BYTES


@pytest.mark.parametrize("shape", [(513, 4), (4, 513), (0, 4), (4, 4, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="plane"):
        make_sketch(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="matrix"):
        compare(np.zeros((4, 4), np.uint8), b"", np.eye(3))


@pytest.mark.parametrize("size", [(512, 512), (512, 384), (384, 512)])
def test_noise_all_over_is_sketched_too(size: tuple[int, int]) -> None:
    coarse = np.random.default_rng(3).integers(0, 256, (size[1] // 4, size[0] // 4), dtype=np.uint8)
    noise = np.kron(coarse, np.ones((4, 4), np.uint8))
    packed = make_sketch(noise)
    assert len(packed) <= MOST_BYTES
    assert (read_sketch(packed).width, read_sketch(packed).height) == size
